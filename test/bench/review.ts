// `npm run bench -- review`: the webhook as it is shipped beside a Go program with the same checks. Both serve TLS with one certificate.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as send } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from '../../build.ts';
import { schema } from '../../crds/databasebackup.gen.ts';
import { makeCertificate } from '../../webhook/certificate.ts';
import { run } from '../rig/command.ts';
import type { Job, Result } from './load.ts';
import type { BenchOptions } from './main.ts';
import { type Program, startProgram } from './program.ts';
import { type Row, row, type Side } from './report.ts';
import { judged, largeReview, reviews } from './reviews.ts';

interface Figure {
  name: string;
  unit: string;
  better: 'less' | 'more';
  of(result: Result, cpuSeconds: number): number;
}

interface Load {
  job: Pick<Job, 'seconds' | 'connections' | 'rate' | 'large'>;
  figures: readonly Figure[];
}

const gentle = { seconds: 5, connections: 8, rate: 50 };
const full = { seconds: 3, connections: 16 };
const warm: Load = { job: { seconds: 2, connections: 4 }, figures: [] };

const loads = (): readonly Load[] => [
  { job: gentle, figures: [{ name: 'review-p99-50', unit: 'ms', better: 'less', of: ({ p99 }) => p99 }] },
  {
    job: full,
    figures: [
      { name: 'review-rate-16', unit: 'reviews/s', better: 'more', of: ({ perSecond }) => perSecond },
      { name: 'review-cpu-16', unit: 'CPU us/review', better: 'less', of: ({ count }, cpu) => (cpu / count) * 1e6 },
    ],
  },
  {
    job: { ...gentle, large: { body: largeReview(), pauseMilliseconds: 100 } },
    figures: [
      { name: 'review-p99-50-3MiB', unit: 'ms', better: 'less', of: ({ p99 }) => p99 },
      { name: 'review-worst-50-3MiB', unit: 'ms', better: 'less', of: ({ worst }) => worst },
    ],
  },
];

export async function review(options: BenchOptions): Promise<Row[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-bench-'));
  const programs: Program[] = [];
  try {
    const { cert, key, authorities } = await makeCertificate(['127.0.0.1'], '', new Date());
    await writeFile(path.join(directory, 'tls.crt'), cert);
    await writeFile(path.join(directory, 'tls.key'), key);
    const ours = await startOurs(directory, options);
    programs.push(ours);
    const theirs = await startTheirs(directory, options);
    if (theirs !== undefined) {
      programs.push(theirs);
      await agree(ours, theirs, authorities);
    }
    return await measure(ours, theirs, authorities, options);
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
    await rm(directory, { recursive: true, force: true });
  }
}

async function startOurs(directory: string, { log }: BenchOptions): Promise<Program> {
  const outdir = path.join(directory, 'dist');
  await build({ outdir, log });
  const flags = ['--port=0', '--health-port=0', `--certificate-directory=${directory}`];
  return startProgram([process.execPath, path.join(outdir, 'webhook.mjs'), ...flags]);
}

/** Undefined, and said, where there is no Go to build it with. */
async function startTheirs(directory: string, { log }: BenchOptions): Promise<Program | undefined> {
  const target = path.join(directory, 'review-peer');
  const file = path.join(directory, 'schema.json');
  await writeFile(file, JSON.stringify(schema));
  try {
    log('building the peer with Go');
    const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' };
    const argv: [string, ...string[]] = ['go', 'build', '-trimpath', '-buildvcs=false', '-o', target, '.'];
    await run(argv, { cwd: path.join(import.meta.dirname, 'review-peer'), env });
  } catch (error) {
    log(`peer missing: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
  return startProgram([target, `--certificate-directory=${directory}`, `--schema=${file}`]);
}

interface Verdict {
  allowed: boolean;
  patch?: string;
}

function verdict({ port }: Program, ca: string, body: object): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const where = { host: '127.0.0.1', port, ca, path: '/mutate', method: 'POST', headers, agent: false };
    const request = send(where, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        const { allowed, patch = '' } = (JSON.parse(text) as { response: Verdict }).response;
        resolve({ allowed, patch: Buffer.from(patch, 'base64').toString() });
      });
    });
    request.on('error', reject).end(JSON.stringify(body));
  });
}

/** A peer that checks less would be quick for nothing. */
async function agree(ours: Program, theirs: Program, ca: string): Promise<void> {
  for (const body of judged) {
    const [own, other] = await Promise.all([verdict(ours, ca, body), verdict(theirs, ca, body)]);
    const sorted = ({ allowed, patch = '' }: Verdict) => `${allowed} ${[...patch].sort().join('')}`;
    if (sorted(own) !== sorted(other))
      throw new Error(
        `compare the verdicts: ${JSON.stringify(own)} and ${JSON.stringify(other)} on ${JSON.stringify(body)}`,
      );
  }
}

async function once(program: Program, ca: string, { job, figures }: Load): Promise<number[]> {
  const bodies = reviews.map((body) => JSON.stringify(body));
  const input = JSON.stringify({ port: program.port, ca, bodies, ...job } satisfies Job);
  const before = await program.cpuSeconds();
  const output = await run([process.execPath, path.join(import.meta.dirname, 'load.ts')], { input });
  const cpuSeconds = (await program.cpuSeconds()) - before;
  const result = JSON.parse(output) as Result;
  return figures.map(({ of }) => of(result, cpuSeconds));
}

/** In turns, so that whatever else the machine does meets both. */
async function measure(ours: Program, theirs: Program | undefined, ca: string, options: BenchOptions): Promise<Row[]> {
  const sides = [ours, ...(theirs === undefined ? [] : [theirs])];
  for (const side of sides) await once(side, ca, warm);
  const rows: Row[] = [];
  for (const load of loads()) {
    const values = sides.map((): number[][] => []);
    for (let turn = 1; turn <= options.runs; turn++) {
      for (const [index, side] of sides.entries()) values[index]?.push(await once(side, ca, load));
      const last = values.map((one) =>
        one
          .at(-1)
          ?.map((value) => value.toFixed(1))
          .join(', '),
      );
      options.log(`${load.figures.map(({ name }) => name).join(', ')}: run ${turn}: ${last.join(' and ')}`);
    }
    const memory = await Promise.all(sides.map((side) => side.memoryMiB()));
    for (const [index, figure] of load.figures.entries()) {
      const [own, other] = values.map((one, side): Side => {
        return { values: one.map((figures) => figures[index] ?? Number.NaN), memoryMiB: memory[side] ?? Number.NaN };
      });
      if (own !== undefined) rows.push(row(figure.name, figure.unit, figure.better, own, other));
    }
  }
  return rows;
}
