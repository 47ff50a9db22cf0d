// `npm run simulate -- --histories 10000 --seed 1`, with `--from K` from history K on, or `--seed N --history K` for one again: the
// controller against an unkind cluster. It goes on after a history that breaks a promise, and tells all of them.
import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    history: { type: 'string' },
  },
});

/** A controller that breaks a promise in this many histories breaks it in many more: enough is known. */
const mostFailures = 20;
const toldEvery = 500;

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`read --${name} ${text}: not a whole number: write for example --${name} 1000`);
}

try {
  const seed = whole('seed', values.seed);
  const first = whole(values.history === undefined ? 'from' : 'history', values.history ?? values.from);
  const count = values.history === undefined ? whole('histories', values.histories) : 1;
  console.log(`seed ${seed}`);
  const began = performance.now();
  const seconds = (): string => ((performance.now() - began) / 1000).toFixed(1);
  const failures: string[] = [];
  const { histories, reconciles, writes, outcomes } = await simulate(count, seed, {
    first,
    told: (totals) => {
      if (totals.histories % toldEvery === 0)
        console.log(
          `${totals.histories} of ${count} histories from ${first} on, ${seconds()} s, ${failures.length} broke`,
        );
    },
    broke: (report) => {
      failures.push(report);
      console.error(`${report}\n`);
      return failures.length < mostFailures;
    },
  });
  const ends = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  console.log(`${histories} histories from ${first} on in ${seconds()} s: ${reconciles} looks, ${writes} writes`);
  console.log(`runs: ${ends.join(', ')}; ${failures.length === 0 ? 'nothing' : `${failures.length} histories`} broke`);
  if (failures.length > 0) process.exitCode = 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
