// One controller: the real caches, seats, wiring and reconcile, with a clock of its own, that may crash, stand still and start again.
import { Caches } from '../../controller/caches.ts';
import type { Settings } from '../../controller/observed.ts';
import { reconcile, type World } from '../../controller/reconcile.ts';
import { Seats } from '../../controller/seats.ts';
import { Staleness } from '../../controller/staleness.ts';
import { ApiError } from '../../controller/transport.ts';
import { keyOf } from '../../controller/watch.ts';
import { Wiring } from '../../controller/wiring.ts';
import type { Random } from '../crds/seeded.ts';
import type { Agenda } from './agenda.ts';
import { type Api, type Change, type Kind, kinds } from './api.ts';
import { type Line as Calls, type Fault, kubeOf, NoAnswer } from './calls.ts';
import type { Invariants } from './invariants.ts';
import type { JobController } from './job-controller.ts';
import { Line } from './line.ts';
import { Watch } from './watches.ts';

const workers = 4;
/** Two reads at once, there and back. */
const lookMilliseconds = 45;

export interface Surroundings {
  agenda: Agenda;
  api: Api;
  jobs: JobController;
  invariants: Invariants;
  settings: Settings;
  away: () => boolean;
  trace: (what: string) => void;
  /** Code of the controller was woken: it has to run before anything else happens. */
  woken: () => void;
}

type Watches = { [K in Kind]: Watch<K> };

export class Instance {
  readonly name: string;
  /** The clock shows true time plus this. */
  offset: number;
  reconciles = 0;
  writes = 0;
  private readonly around: Surroundings;
  private readonly random: Random;
  private readonly calls: Calls;
  private watches: Watches | undefined;
  private line: Line | undefined;
  private pausedUntil = 0;
  private pausedFrom = 0;
  /** Counts starts: what an earlier process waits for reaches nobody. */
  private life = 0;

  constructor(name: string, offset: number, around: Surroundings, random: Random) {
    this.name = name;
    this.offset = offset;
    this.around = around;
    this.random = random;
    const { agenda, api, jobs, away, trace } = around;
    this.calls = {
      ...{ agenda, api, jobs, random, name, away, trace, faults: [] },
      deliver: () => undefined,
      wrote: () => {
        this.writes += 1;
      },
      crash: () => this.crash(1000 + this.random.below(20_000)),
      reads: around.invariants.reads,
      deletes: (namespace, job, uid) => around.invariants.deletes(name, namespace, job, uid, this.standingStillSince),
      starts: (namespace, job, uid) => around.invariants.starts(name, namespace, job, uid, this.standingStillSince),
    };
    api.followers.push((change) => this.follow(change));
  }

  /** Nothing is under way here. */
  get idle(): boolean {
    const { watches, line } = this;
    if (watches === undefined || line === undefined || this.pausedUntil > this.around.agenda.now) return false;
    return line.idle && Object.values(watches).every(({ idle }) => idle);
  }

  now(): Date {
    const reading = this.around.agenda.now + this.offset;
    this.around.invariants.clockRead(this.name, reading);
    return new Date(reading);
  }

  start(): void {
    const life = ++this.life;
    const deliver = (happen: () => void): void => this.deliver(life, happen);
    const add = (key: string): void => this.line?.add(key);
    // The queue starts when all four kinds have been listed.
    const open = new Set<Kind>(kinds);
    const listed = (kind: Kind): void => {
      if (!open.delete(kind) || open.size > 0) return;
      this.line?.start(workers);
      wiring.everything();
    };
    const { agenda, api } = this.around;
    const parts = { agenda, api, random: this.random };
    const watches: Watches = {
      backups: new Watch(
        'backups',
        parts,
        deliver,
        (backup) => wiring.backupTold(backup),
        () => listed('backups'),
      ),
      jobs: new Watch(
        'jobs',
        parts,
        deliver,
        (job) => wiring.jobTold(job),
        () => listed('jobs'),
      ),
      pods: new Watch(
        'pods',
        parts,
        deliver,
        (pod) => wiring.podTold(pod),
        () => listed('pods'),
      ),
      leases: new Watch(
        'leases',
        parts,
        deliver,
        (lease) => wiring.leaseTold(lease),
        () => listed('leases'),
      ),
    };
    const { backups, jobs, pods, leases } = watches;
    const caches = new Caches({ backups: backups.items, jobs: jobs.items, pods: pods.items, leases: leases.items });
    const seats = new Seats(caches, this.around.settings, () => this.now().getTime());
    const wiring = new Wiring(caches, seats, add);
    const world = this.world(caches, seats, deliver);
    this.watches = watches;
    this.line = new Line(
      agenda,
      (key) => {
        this.reconciles += 1;
        return reconcile(world, key);
      },
      (error) => this.failed(error),
      { clock: () => agenda.now + this.offset, deliver },
    );
    for (const watch of Object.values(watches)) watch.list(10 + this.random.below(1500));
  }

  private world(caches: Caches, seats: Seats, deliver: Calls['deliver']): World {
    const { invariants, settings } = this.around;
    return {
      ...{ caches, seats, settings, kube: kubeOf({ ...this.calls, deliver }), now: () => this.now() },
      staleness: new Staleness(),
      launchesWait: () => this.random.below(4) === 0,
      finished: (backup) => invariants.finished(backup),
      tell: () => undefined,
      forget: () => undefined,
    };
  }

  crash(down: number): void {
    if (this.watches === undefined) return;
    this.around.trace(`${this.name} crashes, for ${Math.round(down / 1000)} s`);
    const life = ++this.life;
    this.line?.die();
    this.watches = undefined;
    this.line = undefined;
    this.calls.faults.length = 0;
    this.around.agenda.in(down, () => {
      if (life === this.life) this.start();
    });
  }

  /** As a process that is stopped by a signal: it goes on from where it was, with what it knew. */
  pause(milliseconds: number): void {
    const { now } = this.around.agenda;
    if (this.pausedUntil < now) this.pausedFrom = now;
    this.pausedUntil = Math.max(this.pausedUntil, now + milliseconds);
  }

  /** A look that was under way when it last stood still goes on after it, with what was read before. */
  private get standingStillSince(): number {
    const { now } = this.around.agenda;
    return this.pausedUntil < now - lookMilliseconds ? now : this.pausedFrom - lookMilliseconds;
  }

  arm(fault: Fault, passes: number): void {
    this.calls.faults.push({ fault, passes });
  }

  jump(offset: number): void {
    const back = offset < this.offset;
    this.offset = offset;
    this.line?.clockJumped(back, this.random.below(30_000));
  }

  hold(kind: Kind, milliseconds: number): void {
    const watch = this.watches?.[kind];
    if (watch !== undefined) watch.heldUntil = this.around.agenda.now + milliseconds;
  }

  relist(kind: Kind, after: number): void {
    this.watches?.[kind].list(after);
  }

  repeat(kind: Kind): void {
    this.watches?.[kind].repeat();
    this.around.woken();
  }

  /** No fault, no lag, no pause from here on, and the right time. */
  calm(): void {
    this.calls.faults.length = 0;
    this.pausedUntil = 0;
    this.jump(0);
    if (this.watches !== undefined) for (const watch of Object.values(this.watches)) watch.list(10);
    else this.start();
  }

  lookAtAll(): void {
    for (const backup of this.around.api.all('backups').values()) this.line?.add(keyOf(backup));
    this.around.woken();
  }

  private follow(change: Change): void {
    if (this.watches !== undefined) for (const watch of Object.values(this.watches)) watch.follow(change);
  }

  private deliver(life: number, happen: () => void): void {
    if (life !== this.life) return;
    const { agenda, woken } = this.around;
    if (this.pausedUntil > agenda.now) agenda.at(this.pausedUntil, () => this.deliver(life, happen));
    else {
      happen();
      woken();
    }
  }

  /** Refusals and lost answers are met by trying again; anything else is a bug. */
  private failed(error: unknown): void {
    if (error instanceof ApiError || error instanceof NoAnswer) return;
    this.around.invariants.broke('throws', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
