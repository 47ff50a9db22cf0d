// The load of `npm run bench -- review`, a process of its own: reads one job from standard input, prints one result.
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, openConnection, requestBytes } from './https-client.ts';

export interface Job {
  port: number;
  ca: string;
  bodies: string[];
  seconds: number;
  connections: number;
  /** Reviews a second, spread evenly; absent: each connection asks again as soon as it has its answer. */
  rate?: number;
  /** A body of 3 MiB on a connection of its own, over and over with this pause between. */
  large?: { body: string; pauseMilliseconds: number };
}

export interface Result {
  count: number;
  perSecond: number;
  /** Milliseconds from when a review was due to the end of its answer. */
  p99: number;
  worst: number;
  /** Large bodies that were answered. */
  large: number;
}

async function timed(connection: Connection, request: Buffer, due: number): Promise<number> {
  const status = await connection.ask(request);
  if (status !== 200) throw new Error(`review answered with ${status}`);
  return performance.now() - due;
}

/** Each connection has its own share of the times at which a review is due; a late answer delays and counts against the next. */
async function ask(connection: Connection, job: Job, requests: readonly Buffer[], index: number): Promise<number[]> {
  const took: number[] = [];
  const begin = performance.now();
  const gap = job.rate === undefined ? 0 : 1000 / job.rate;
  for (let turn = index; ; turn += job.connections) {
    const due = gap === 0 ? performance.now() : begin + turn * gap;
    if (due - begin > job.seconds * 1000) return took;
    const pause = due - performance.now();
    if (pause > 0) await sleep(pause);
    const request = requests[turn % requests.length];
    if (request !== undefined) took.push(await timed(connection, request, gap === 0 ? performance.now() : due));
  }
}

async function askLarge({ port, ca, seconds, large }: Job): Promise<number> {
  if (large === undefined) return 0;
  const connection = await openConnection(port, ca);
  const request = requestBytes('/validate', large.body);
  const end = performance.now() + seconds * 1000;
  let count = 0;
  for (; performance.now() < end; count++) {
    await timed(connection, request, 0);
    await sleep(large.pauseMilliseconds);
  }
  connection.close();
  return count;
}

async function perform(job: Job): Promise<Result> {
  const paths = ['/mutate?timeout=5s', '/validate?timeout=5s'];
  const requests = job.bodies.flatMap((body) => paths.map((path) => requestBytes(path, body)));
  const open = Array.from({ length: job.connections }, () => openConnection(job.port, job.ca));
  const connections = await Promise.all(open);
  const began = performance.now();
  const [large, ...parts] = await Promise.all([
    askLarge(job),
    ...connections.map((connection, index) => ask(connection, job, requests, index)),
  ]);
  const seconds = (performance.now() - began) / 1000;
  for (const connection of connections) connection.close();
  const took = parts.flat().sort((a, b) => a - b);
  const p99 = took[Math.ceil(took.length * 0.99) - 1] ?? Number.NaN;
  return { count: took.length, perSecond: took.length / seconds, p99, worst: took.at(-1) ?? Number.NaN, large };
}

console.log(JSON.stringify(await perform(JSON.parse(await text(process.stdin)) as Job)));
