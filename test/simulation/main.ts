// `npm run simulate -- --histories 10000 --seed 1`, or `--seed N --history K` for one again: the controller against an unkind cluster.
import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    history: { type: 'string' },
  },
});

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`read --${name} ${text}: not a whole number: write for example --${name} 1000`);
}

try {
  const seed = whole('seed', values.seed);
  const first = values.history === undefined ? 0 : whole('history', values.history);
  const count = values.history === undefined ? whole('histories', values.histories) : 1;
  console.log(`seed ${seed}`);
  const began = performance.now();
  const seconds = (): string => ((performance.now() - began) / 1000).toFixed(1);
  const { histories, reconciles, writes, outcomes } = await simulate(count, seed, {
    first,
    told: (totals) => {
      if (totals.histories % 500 === 0) console.log(`${totals.histories} of ${count} histories, ${seconds()} s`);
    },
  });
  const ends = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  console.log(`${histories} histories in ${seconds()} s: ${reconciles} looks, ${writes} writes`);
  console.log(`runs: ${ends.join(', ')}; nothing broke`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
