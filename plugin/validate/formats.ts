// A report in the forms that people, programs and GitHub read.
import { oneLine } from '../output/printable.ts';
import { inOneLine, type Placed, type Report } from './finding.ts';

/** `file:line:column: error: field: value: message; fix`, which editors and terminals make a link of. */
export function textLines({ findings }: Report): string[] {
  return findings.map((finding) => {
    const { file, line, column, severity } = finding;
    return oneLine(`${file}:${line}:${column}: ${severity}: ${inOneLine(finding)}`);
  });
}

/** What `-o json` promises: these members and no others, none of them absent. */
export function asData({ objects, passedOver, findings }: Report): object {
  return { objects, passedOver, findings: findings.map(asMember) };
}

function asMember({ file, line, column, kind, namespace, name, field, severity, value, message, fix }: Placed): object {
  const said = value === undefined ? message : `${value}: ${message}`;
  return { file, line, column, kind, namespace, name, field, severity, message: said, fix };
}

/** Workflow commands, by which GitHub Actions shows a finding beside its line. */
export function workflowCommands({ findings }: Report): string[] {
  return findings.map((finding) => {
    const { file, line, column, severity } = finding;
    return `::${severity} file=${property(file)},line=${line},col=${column}::${data(inOneLine(finding))}`;
  });
}

const escapes: Record<string, string> = { '%': '%25', '\r': '%0D', '\n': '%0A', ':': '%3A', ',': '%2C' };
const data = (text: string): string => text.replace(/[%\r\n]/g, (character) => escapes[character] ?? '');
const property = (text: string): string => text.replace(/[%\r\n:,]/g, (character) => escapes[character] ?? '');

const several = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** The last line: what was looked at and what came out. */
export function counts({ objects, passedOver, findings }: Report): string {
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.length - errors;
  const found = `${several(errors, 'error')}, ${several(warnings, 'warning')}`;
  return `${found} in ${several(objects, 'object')}; ${several(passedOver, 'document')} of other kinds passed over`;
}
