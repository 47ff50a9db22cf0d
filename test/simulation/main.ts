// `npm run simulate -- --histories 10000 --seed 1`, with `--from K` from history K on, or `--seed N --history K` for one again: the
// controller against an unkind cluster. It goes on after a history that breaks a promise, and tells all of them. `--mutation NAME` plays
// a controller with that bug, `--mutations` with one after the other: each has to be found.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { mutate, mutations } from './mutations.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    history: { type: 'string' },
    mutation: { type: 'string' },
    mutations: { type: 'boolean', default: false },
  },
});

/** A controller that breaks a promise in this many histories breaks it in many more: enough is known. */
const mostFailures = 20;
const toldEvery = 500;
/** A bug that so many histories do not find is not looked for. */
const mutationHistories = 200;

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`read --${name} ${text}: not a whole number: write for example --${name} 1000`);
}

async function playMany(seed: number): Promise<void> {
  const { simulate } = await import('./simulate.ts');
  const first = whole(values.history === undefined ? 'from' : 'history', values.history ?? values.from);
  const count = values.history === undefined ? whole('histories', values.histories) : 1;
  const began = performance.now();
  const seconds = (): string => ((performance.now() - began) / 1000).toFixed(1);
  const failures: string[] = [];
  const { histories, reconciles, writes, outcomes } = await simulate(count, seed, {
    first,
    shrinks: values.mutation === undefined,
    told: ({ histories: played }) => {
      const broke = `${failures.length} broke a promise`;
      if (played % toldEvery === 0) console.log(`${played} of ${count} from ${first} on, ${seconds()} s, ${broke}`);
    },
    broke: (report) => {
      failures.push(report);
      console.error(`${report}\n`);
      return values.mutation === undefined && failures.length < mostFailures;
    },
  });
  const ends = Object.entries(outcomes).map(([outcome, ended]) => `${ended} ${outcome}`);
  console.log(`${histories} histories from ${first} on in ${seconds()} s: ${reconciles} looks, ${writes} writes`);
  console.log(`runs: ${ends.join(', ')}; ${failures.length === 0 ? 'nothing' : `${failures.length} histories`} broke`);
  if (failures.length > 0) process.exitCode = 1;
}

/** Each in a process of its own, since a module is loaded once. */
function playMutations(seed: number): void {
  const survivors: string[] = [];
  for (const name of Object.keys(mutations)) {
    const args = ['--seed', String(seed), '--histories', String(mutationHistories), '--mutation', name];
    const { status, stderr, stdout } = spawnSync(process.execPath, [import.meta.filename, ...args], {
      encoding: 'utf8',
    });
    if (status === 0) survivors.push(name);
    else if (!stderr.includes('--history')) throw new Error(`play mutation "${name}": ${stderr || stdout}`);
    console.log(`${name}: ${status === 0 ? `survives ${mutationHistories} histories` : found(stderr, stdout)}`);
  }
  console.log(`${Object.keys(mutations).length} mutations, ${survivors.length} survive`);
  if (survivors.length > 0) process.exitCode = 1;
}

function found(stderr: string, stdout: string): string {
  const [, broken = ''] = stderr.split('\n');
  return `found after ${/^\d+/m.exec(stdout.replace(/^seed.*/m, ''))?.[0]} histories: ${broken}`;
}

try {
  const seed = whole('seed', values.seed);
  console.log(`seed ${seed}`);
  if (values.mutation !== undefined) mutate(values.mutation);
  if (values.mutations) playMutations(seed);
  else await playMany(seed);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
