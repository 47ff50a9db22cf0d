// Loaded before a program (node --import): its wall clock is off by what a file says, now and then looked at, as when a clock is set;
// and its long waits can be made short, where a test would have to sit them out.
import { readFileSync } from 'node:fs';

const { DBBACKUP_TEST_CLOCK: file, DBBACKUP_TEST_WAITS: waits } = process.env;

if (file !== undefined) {
  const Real = Date;
  const lookEvery = 20;
  let shift = 0;
  let looked = Number.NEGATIVE_INFINITY;
  const now = (): number => {
    if (performance.now() - looked > lookEvery) {
      looked = performance.now();
      shift = Number(readFileSync(file, 'utf8'));
    }
    return Real.now() + shift;
  };
  globalThis.Date = class extends Real {
    constructor(...given: unknown[]) {
      super(...((given.length === 0 ? [now()] : given) as [number]));
    }
    static override now(): number {
      return now();
    }
  } as DateConstructor;
}

// `100000:3000`: what would wait for 100 s and more waits for 3.
if (waits !== undefined) {
  const [from = 0, to = 0] = waits.split(':').map(Number);
  const real = globalThis.setTimeout;
  globalThis.setTimeout = ((handler: (...given: unknown[]) => void, wait?: number, ...given: unknown[]) =>
    real(handler, wait !== undefined && wait >= from ? to : wait, ...given)) as typeof setTimeout;
}
