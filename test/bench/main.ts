// `npm run bench -- NAME`: measures the project beside its nearest peer, in turns, in one call. Without NAME, or with one that is not
// there, it ends with exit code 2 and the list.
import { parseArgs } from 'node:util';
import { backup } from './backup.ts';
import { json, type Row, table } from './report.ts';
import { restore } from './restore.ts';
import { review } from './review.ts';
import { scale, scaleIdle, scaleRaised, scaleUsual } from './scale.ts';

export interface BenchOptions {
  /** How often each side is measured. */
  runs: number;
  /** How many objects, for benches that have many. */
  objects: number;
  /** How much a database holds, for benches that dump one. */
  mebibytes: number;
  log: (line: string) => void;
}

const benches: Record<string, (options: BenchOptions) => Promise<Row[]>> = {
  backup,
  restore,
  review,
  scale,
  'scale-default-limits': scaleUsual,
  'scale-raised-limits': scaleRaised,
  'scale-idle': scaleIdle,
};
const leastRuns = 3;

const usage = `usage: npm run bench -- NAME [-o json] [--runs N] [--objects N] [--mebibytes N]

  NAME      one of: ${Object.keys(benches).join(', ')}
  -o json   one JSON object a line instead of a table
  --runs    runs of each side, at least ${leastRuns}; medians are shown (default 5)
  --objects backups that scale has due at a time (default 10000)
  --mebibytes size of the database of backup and restore (default 2048)`;

class UsageError extends Error {}

interface Parsed extends Omit<BenchOptions, 'log'> {
  name: string;
  asJson: boolean;
}

function parse(args: string[]): Parsed {
  const options = {
    output: { type: 'string', short: 'o' },
    runs: { type: 'string' },
    objects: { type: 'string' },
    mebibytes: { type: 'string' },
  } as const;
  const read = () => parseArgs({ args, allowPositionals: true, options });
  let parsed: ReturnType<typeof read>;
  try {
    parsed = read();
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) throw new UsageError('name one bench');
  if (!Object.hasOwn(benches, name)) throw new UsageError(`no bench "${name}"`);
  if (values.output !== undefined && values.output !== 'json') throw new UsageError(`no output "${values.output}"`);
  const runs = Number(values.runs ?? 5);
  if (!Number.isInteger(runs) || runs < leastRuns)
    throw new UsageError(`--runs "${values.runs}": at least ${leastRuns}`);
  const objects = Number(values.objects ?? 10_000);
  if (!Number.isInteger(objects) || objects < 1) throw new UsageError(`--objects "${values.objects}": at least 1`);
  const mebibytes = Number(values.mebibytes ?? 2048);
  if (!Number.isInteger(mebibytes) || mebibytes < 1)
    throw new UsageError(`--mebibytes "${values.mebibytes}": at least 1`);
  return { name, asJson: values.output === 'json', runs, objects, mebibytes };
}

try {
  const { name, asJson, ...options } = parse(process.argv.slice(2));
  const rows = (await benches[name]?.({ ...options, log: (line) => console.error(`[bench] ${line}`) })) ?? [];
  console.log(asJson ? json(rows) : table(rows));
  if (rows.some(({ theirs }) => theirs === null)) process.exitCode = 1;
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
