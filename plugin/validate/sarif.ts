// A report as SARIF 2.1.0, the form that code scanners exchange.
import { isAbsolute, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inOneLine, type Placed, type Report, rules } from './finding.ts';

const ids = Object.keys(rules);

export function sarif({ findings }: Report, version: string): object {
  const driver = {
    name: 'kubectl-dbbackup',
    // SARIF's semanticVersion may not be made up; a build from the sources has none.
    version,
    rules: Object.entries(rules).map(([id, text]) => ({ id, shortDescription: { text } })),
  };
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    // The yaml package, like JavaScript, counts columns in UTF-16.
    runs: [{ tool: { driver }, columnKind: 'utf16CodeUnits', results: findings.map(result) }],
  };
}

function result(finding: Placed): object {
  const { rule, severity, file, line, column } = finding;
  const physicalLocation = {
    artifactLocation: { uri: uri(file) },
    region: { startLine: line, startColumn: column },
  };
  return {
    ruleId: rule,
    ruleIndex: ids.indexOf(rule),
    level: severity,
    message: { text: inOneLine(finding) },
    locations: [{ physicalLocation }],
  };
}

/** Relative paths stay relative: GitHub and others resolve them against the repository. */
function uri(file: string): string {
  if (isAbsolute(file)) return pathToFileURL(file).href;
  return file.split(sep).map(encodeURIComponent).join('/');
}
