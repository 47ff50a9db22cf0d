// Two controllers as processes of their own, both at work, each with its own bad way to the API server; and the kubelet, played.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Pod } from '../../controller/objects.ts';
import { snapshotId } from '../../crds/rules/names.ts';
import { type Random, randomOf } from '../crds/seeded.ts';
import { type ApiProxy, type Fault, startApiProxy, type Upstream } from '../rig/faults/api-proxy.ts';
import { endedStatus, setPodStatus, successResult, type World } from './controller-world.ts';
import { type Program, startProgram } from './program.ts';

/** One write in four meets something. */
function mishap(random: Random): Fault | undefined {
  const way = random.below(100);
  if (way < 6) return { kind: 'lose' };
  if (way < 8) return { kind: 'drop' };
  if (way < 18) return { kind: 'delay', milliseconds: random.below(1500) };
  if (way < 20) return { kind: 'late', milliseconds: random.below(1500) };
  if (way < 22) return { kind: 'answer', status: 409 };
  if (way < 24) return { kind: 'answer', status: 500 };
  return way < 25 ? { kind: 'answer', status: 429, retryAfterSeconds: 1 } : undefined;
}

/** A cache is mostly a moment behind, and now and then seconds. */
const lag = (random: Random): number => random.below(random.chance(0.05) ? 3000 : 60);

export class Racer {
  kills = 0;
  readonly mishaps = new Map<Fault['kind'], number>();
  private readonly random: Random;
  private readonly proxy: ApiProxy;
  private readonly env: Record<string, string>;
  private program: Program;
  /** Deaths that are still to come. */
  private doomed = 0;
  private dying = false;
  private dead: Promise<void> = Promise.resolve();
  private ended = false;

  private constructor(random: Random, proxy: ApiProxy, env: Record<string, string>) {
    this.random = random;
    this.proxy = proxy;
    this.env = env;
    this.program = this.start();
    // Events may be lost; all else counts.
    proxy.counts = (_, path) => !path.includes('/events');
    proxy.lag = () => lag(random);
    proxy.fault = () => this.befalls();
  }

  static async open(upstream: Upstream, folder: string, number: number, seed: number): Promise<Racer> {
    const proxy = await startApiProxy(upstream);
    const kubeconfig = join(folder, `kubeconfig-${number}`);
    await proxy.writeKubeconfig(kubeconfig);
    const racer = new Racer(randomOf(seed + number), proxy, {
      KUBECONFIG: kubeconfig,
      NODE_OPTIONS: `--import=${fileURLToPath(new URL('../rig/faults/clock.ts', import.meta.url))}`,
      DBBACKUP_TEST_CLOCK: join(folder, 'clock'),
    });
    await racer.program.printed('caches are filled');
    return racer;
  }

  /** The next write is its last; it starts anew at once. */
  doom(): void {
    this.doomed += 1;
  }

  /** Kills it now where it had nothing to write. */
  async fulfil(): Promise<void> {
    await this.dead;
    while (this.doomed > 0) {
      this.kill();
      await this.dead;
    }
  }

  async close(): Promise<void> {
    this.ended = true;
    await this.dead;
    await this.program.kill();
    await this.proxy.stop();
  }

  get output(): string {
    return this.program.output();
  }

  private start(): Program {
    const args = [
      '--no-leader-elect',
      '--executor-image',
      'executor:test',
      '--health-port',
      '0',
      '--metrics-port',
      '0',
    ];
    const room = ['--max-running', '100', '--max-running-per-namespace', '100', '--max-clock-skew-seconds', '0'];
    return startProgram('controller/main.ts', [...args, ...room], this.env);
  }

  private befalls(): Fault | undefined {
    const dies = this.doomed > 0 && !this.dying;
    const fault: Fault | undefined = dies
      ? this.random.pick<Fault>([{ kind: 'drop' }, { kind: 'lose' }, { kind: 'late', milliseconds: 1500 }])
      : mishap(this.random);
    if (fault === undefined) return undefined;
    this.mishaps.set(fault.kind, (this.mishaps.get(fault.kind) ?? 0) + 1);
    return dies ? { ...fault, done: () => this.kill() } : fault;
  }

  private kill(): void {
    if (this.doomed === 0 || this.dying || this.ended) return;
    this.doomed -= 1;
    this.dying = true;
    this.kills += 1;
    this.dead = this.program.kill().then(() => {
      this.dying = false;
      if (!this.ended) this.program = this.start();
    });
  }
}

/** Clocks of the controllers: they go on by themselves, and do not pass the end of the minute they were set to. */
export class SharedClock {
  readonly folder: string;
  private ahead = 0;
  private shown = Number.POSITIVE_INFINITY;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<SharedClock> {
    const clock = new SharedClock(await mkdtemp(join(tmpdir(), 'dbbackup-pair-')));
    await clock.write();
    return clock;
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  async set(time: number): Promise<void> {
    this.shown = time;
    this.ahead = time - Date.now();
    await this.write();
  }

  /** Sets it back before it comes to another window. */
  async hold(): Promise<void> {
    if (Date.now() + this.ahead - this.shown > 40_000) await this.set(this.shown);
  }

  private async write(): Promise<void> {
    const file = join(this.folder, 'clock');
    await writeFile(`${file}.new`, String(this.ahead));
    await rename(`${file}.new`, file);
  }
}

/** Ends each pod soon after it was made; most runs succeed. */
export class Kubelet {
  private readonly world: World;
  private readonly random: Random;
  private readonly seen = new Set<string>();
  private readonly under = new Set<Promise<void>>();

  constructor(world: World, random: Random) {
    this.world = world;
    this.random = random;
  }

  look(pods: Iterable<Pod>): void {
    for (const pod of pods) {
      if (this.seen.has(pod.metadata.uid) || pod.metadata.deletionTimestamp !== undefined) continue;
      this.seen.add(pod.metadata.uid);
      const work = this.end(pod).finally(() => this.under.delete(work));
      this.under.add(work);
    }
  }

  async done(): Promise<void> {
    await Promise.all(this.under);
  }

  private async end(pod: Pod): Promise<void> {
    const { namespace, name } = pod.metadata;
    const id = snapshotId(new Date(), { clusterUid: 'x', namespace, name }, '0000');
    const result = this.random.chance(0.1)
      ? ({ run: { outcome: 'Failed', reason: 'DumpFailed', message: 'connection lost' } } as const)
      : successResult(id);
    // A pod that is gone meanwhile, with its Job, has nothing to end.
    await setPodStatus(this.world, pod, endedStatus(result)).catch((error: unknown) => {
      if (!/: 404 /.test(String(error))) throw error;
    });
  }
}
