// `npm run check`: the one gate before a push. Format, lint, types, generated files and unit tests, in under two minutes, stopping at the first that fails.
import { type Counts, run, runSuite } from './suite.ts';

export interface Step {
  name: string;
  /** What runs, also told to the reader when it fails. */
  command: string[];
  fix: string;
}

export const steps: Step[] = [
  { name: 'format and lint', command: ['biome', 'check'], fix: 'npx biome check --write' },
  { name: 'types', command: ['tsc', '--noEmit'], fix: 'mend the errors above' },
  { name: 'generated files', command: ['node', 'crds/generate.ts', '--check'], fix: 'npm run generate' },
];

/** Runs one step and says how long it took. */
export async function timed<T>(name: string, action: () => Promise<T>): Promise<T> {
  const started = performance.now();
  console.log(`\n[${name}]`);
  const result = await action();
  console.log(`[${name}] ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return result;
}

/** Whether the step passed. */
export async function pass(step: Step): Promise<boolean> {
  const [command = '', ...args] = step.command;
  const code = await timed(step.name, () => run(command, args));
  if (code !== 0) console.log(`[${step.name}] failed with exit code ${code}: ${step.fix}`);
  return code === 0;
}

export function unitTests(patterns: string[] = []): Promise<Counts> {
  return timed('unit tests', () => runSuite('unit', patterns));
}

async function check(): Promise<boolean> {
  for (const step of steps) {
    if (!(await pass(step))) return false;
  }
  return (await unitTests()).failed === 0;
}

if (import.meta.main) {
  const started = performance.now();
  const good = await check();
  console.log(`\ncheck ${good ? 'passed' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  process.exitCode = good ? 0 : 1;
}
