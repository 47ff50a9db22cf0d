// `npm run bench -- scale`: backups that are all due in one minute, and as many that are idle, beside the CronJob controller of
// kube-controller-manager with as many CronJobs. No pod runs on either side: what is measured is who launches, not what is launched.
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './main.ts';
import { type Row, row, type Side } from './report.ts';
import { type Kind, type Limits, type Scene, startScene } from './scale-scene.ts';

/** What the design asks of default limits, and what the peer was measured with before. */
const usual: Limits = { qps: 50, burst: 100, workers: 16 };
const raised: Limits = { qps: 2000, burst: 2000, workers: 32 };
const dueAtDefaults = 1000;
const idleSeconds = 300;
const minute = 60_000;
/** A window that nobody has answered by then has failed. */
const patienceMilliseconds = 15 * minute;

interface Figures {
  /** From the window to the last launch. */
  seconds: number[];
  cpuSeconds: number[];
  /** Of the API server, with all who watch it. */
  serverCpuSeconds: number[];
  memoryMiB: number;
  serverMemoryMiB: number;
}

const none = (): Figures => ({ seconds: [], cpuSeconds: [], memoryMiB: 0, serverCpuSeconds: [], serverMemoryMiB: 0 });

/** All of it takes an hour; each part has a name of its own. */
export async function scale(options: BenchOptions): Promise<Row[]> {
  return [...(await scaleUsual(options)), ...(await scaleRaised(options)), ...(await scaleIdle(options))];
}

export function scaleUsual(options: BenchOptions): Promise<Row[]> {
  const few = Math.min(options.objects, dueAtDefaults);
  return launches(`launch-${few}-default-limits`, few, usual, options);
}

export function scaleRaised(options: BenchOptions): Promise<Row[]> {
  return launches(`launch-${options.objects}-raised-limits`, options.objects, raised, options);
}

async function launches(name: string, objects: number, limits: Limits, options: BenchOptions): Promise<Row[]> {
  const ours = none();
  const theirs = none();
  for (let run = 1; run <= options.runs; run++)
    for (const [kind, figures] of [
      ['DatabaseBackup', ours],
      ['CronJob', theirs],
    ] as const) {
      options.log(`${name}, run ${run} of ${options.runs}: ${objects} ${kind}s`);
      await launch(kind, objects, limits, figures, options);
    }
  const side = (values: number[], { memoryMiB }: Figures): Side => ({ values, memoryMiB });
  const server = (of: Figures): Side => ({ values: of.serverCpuSeconds, memoryMiB: of.serverMemoryMiB });
  return [
    row(`scale-${name}`, 's', 'less', side(ours.seconds, ours), side(theirs.seconds, theirs)),
    row(`scale-${name}-cpu`, 'CPU s', 'less', side(ours.cpuSeconds, ours), side(theirs.cpuSeconds, theirs)),
    row(`scale-${name}-cpu-of-api-server`, 'CPU s', 'less', server(ours), server(theirs)),
  ];
}

async function launch(
  kind: Kind,
  objects: number,
  limits: Limits,
  figures: Figures,
  { log }: BenchOptions,
): Promise<void> {
  const scene = await startScene(kind, limits, log);
  try {
    // Time to make the objects, and for the controller to write its first status to each.
    const window = new Date(Math.ceil((Date.now() + 20_000 + objects * (20 + 1000 / limits.qps)) / minute) * minute);
    await scene.fill(objects, window);
    await scene.settled();
    const left = window.getTime() - Date.now();
    if (left < 0)
      throw new Error(`bench scale: the objects were ready ${-left / 1000} s after their window: use fewer`);
    log(`ready, ${(left / 1000).toFixed(0)} s to the window`);
    await sleep(left);
    const before = await scene.used.cpuSeconds();
    const serverBefore = await scene.server.cpuSeconds();
    const last = await allLaunched(scene, objects, log);
    figures.seconds.push((last - window.getTime()) / 1000);
    figures.cpuSeconds.push((await scene.used.cpuSeconds()) - before);
    figures.serverCpuSeconds.push((await scene.server.cpuSeconds()) - serverBefore);
    figures.memoryMiB = Math.max(figures.memoryMiB, await scene.used.memoryMiB());
    figures.serverMemoryMiB = Math.max(figures.serverMemoryMiB, await scene.server.memoryMiB());
    log(
      `${objects} launched after ${figures.seconds.at(-1)?.toFixed(1)} s, ${figures.cpuSeconds.at(-1)?.toFixed(1)} CPU s`,
    );
  } finally {
    await scene.stop();
  }
}

/** When the last of them was launched, ms. */
async function allLaunched(scene: Scene, objects: number, log: BenchOptions['log']): Promise<number> {
  const end = Date.now() + patienceMilliseconds;
  let told = Date.now();
  while (scene.launched.size < objects) {
    if (Date.now() > end) throw new Error(`bench scale: ${scene.launched.size} of ${objects} launched in 15 minutes`);
    if (Date.now() - told > 10_000) {
      log(`${scene.launched.size} launched`);
      told = Date.now();
    }
    await sleep(50);
  }
  return Math.max(...scene.launched.values());
}

/** As many that have nothing to do: no write, and no processor time to speak of. */
export async function scaleIdle(options: BenchOptions): Promise<Row[]> {
  const sides: Side[] = [];
  for (const kind of ['DatabaseBackup', 'CronJob'] as const) {
    options.log(`idle: ${options.objects} ${kind}s for ${idleSeconds} s`);
    const scene = await startScene(kind, raised, options.log);
    try {
      await scene.fill(options.objects, new Date(Date.now() + 12 * 60 * minute));
      await scene.settled();
      // Garbage of the filling is not what is measured.
      await sleep(20_000);
      const [writes, cpu] = [scene.changes(), await scene.used.cpuSeconds()];
      await sleep(idleSeconds * 1000);
      if (scene.changes() !== writes)
        throw new Error(`bench scale: ${scene.changes() - writes} writes by idle ${kind}s`);
      sides.push({ values: [(await scene.used.cpuSeconds()) - cpu], memoryMiB: await scene.used.memoryMiB() });
    } finally {
      await scene.stop();
    }
  }
  const [ours, theirs] = sides;
  return ours === undefined ? [] : [row(`scale-idle-${options.objects}-5min`, 'CPU s', 'less', ours, theirs)];
}
