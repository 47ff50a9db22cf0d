// `npm test`: everything. The steps of `npm run check`, then integration (real servers, a real control plane), then e2e (a real node).
// `npm test -- unit|integration|e2e [pattern]` runs one suite. The last line is always "N passed, N failed, N skipped".
import { pass, steps, timed, unitTests } from './check.ts';
import { type Counts, hasFiles, runSuite, type Suite } from './suite.ts';

const suites: Suite[] = ['unit', 'integration', 'e2e'];

function isSuite(word: string): word is Suite {
  return (suites as string[]).includes(word);
}

function add(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

function suite(name: Suite, patterns: string[]): Promise<Counts> {
  return name === 'unit' ? unitTests(patterns) : timed(`${name} tests`, () => runSuite(name, patterns));
}

/** Told to stop: what runs cleans up, nothing else is begun. */
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    stopped = true;
  });

/** All goes on after a failure: a formatting slip must not hide what the cluster says. */
async function everything(): Promise<Counts> {
  let total: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const step of steps) {
    if (!(await pass(step))) total = add(total, { passed: 0, failed: 1, skipped: 0 });
  }
  for (const name of suites) {
    if (!stopped && (await hasFiles(name))) total = add(total, await suite(name, []));
  }
  return total;
}

async function main([first, ...patterns]: string[]): Promise<Counts> {
  if (first === undefined) return everything();
  if (isSuite(first)) return suite(first, patterns);
  console.error(`unknown suite "${first}": npm test -- unit|integration|e2e [pattern], or npm test for everything`);
  return { passed: 0, failed: 1, skipped: 0 };
}

let total: Counts;
try {
  total = await main(process.argv.slice(2));
} catch (error) {
  console.error(error);
  total = { passed: 0, failed: 1, skipped: 0 };
}
if (total.passed + total.failed + total.skipped === 0) {
  console.error('no test ran');
  total.failed = 1;
}
process.exitCode = total.failed === 0 ? 0 : 1;
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
