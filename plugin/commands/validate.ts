// `validate`: the rules of admission over manifests, without a cluster. For pull requests, editors and pipelines.
import type { Readable } from 'node:stream';
import { CommandError, UsageError } from '../errors.ts';
import { encodeData } from '../output/data.ts';
import type { Terminal } from '../output/terminal.ts';
import { Examination } from '../validate/examine.ts';
import type { Report } from '../validate/finding.ts';
import { asData, counts, textLines, workflowCommands } from '../validate/formats.ts';
import { isStandardInput, readInputs } from '../validate/inputs.ts';
import { render } from '../validate/kustomize.ts';
import { sourcesBelow } from '../validate/sources.ts';

export interface ValidateOptions {
  filename?: readonly string[] | undefined;
  kustomize?: readonly string[] | undefined;
  /** `-` as a word of its own. */
  input?: string | undefined;
  output: string;
  strict: boolean;
}

export interface ValidateStage {
  terminal: Terminal;
  version: string;
  stdin: Readable;
  now: Date;
}

/** Throws UsageError where there is nothing to read, CommandError where an error was found. */
export async function validateManifests(stage: ValidateStage, options: ValidateOptions): Promise<void> {
  const { filename = [], kustomize = [], input } = options;
  const paths = input === undefined ? filename : [...filename, input];
  if (paths.length + kustomize.length === 0)
    throw new UsageError('name what to validate: -f FILE or FOLDER, -k FOLDER, or - for standard input');
  if (input !== undefined && !isStandardInput(input))
    throw new UsageError(`unknown argument "${input}": files and folders are named by -f`);
  const examination = new Examination(stage.now);
  for await (const { file, content } of readInputs(paths, stage.stdin)) examination.file(file, content);
  for (const folder of kustomize) {
    const rendered = await render(folder);
    if ('text' in rendered) examination.text(folder, rendered.text, await sourcesBelow(folder));
    else examination.refuse(folder, `cannot be rendered: ${rendered.problem}`, 'correct the kustomization');
  }
  const report = options.strict ? strictly(examination.report()) : examination.report();
  await show(stage, options.output, report);
  if (report.findings.some(({ severity }) => severity === 'error')) throw new CommandError(counts(report));
  stage.terminal.note(counts(report));
}

function strictly(report: Report): Report {
  return { ...report, findings: report.findings.map((finding) => ({ ...finding, severity: 'error' })) };
}

async function show({ terminal, version }: ValidateStage, output: string, report: Report): Promise<void> {
  if (output === 'json') terminal.printData(await encodeData(asData(report), 'json'));
  else if (output === 'sarif') {
    const { sarif } = await import('../validate/sarif.ts');
    terminal.printData(await encodeData(sarif(report, version), 'json'));
  } else for (const line of output === 'github' ? workflowCommands(report) : textLines(report)) terminal.print(line);
}
