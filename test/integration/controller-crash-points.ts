// One point of the crash sweep: a story is played, one write of the controller is struck, and what is left is told.
import { isDeepStrictEqual } from 'node:util';
import { type ApiProxy, type Fault, startApiProxy, type Upstream, type Write } from '../rig/faults/api-proxy.ts';
import type { Scenario } from './controller-crash-scenarios.ts';
import { Stage } from './controller-crash-stage.ts';
import { Words } from './controller-crash-writes.ts';
import type { History } from './controller-history.ts';
import { type Inside, startInside } from './controller-inside.ts';
import type { World } from './controller-world.ts';

/** What befalls a write; where the controller is killed, the next one starts at once. */
export const strikes = {
  'killed before': { fault: { kind: 'drop' }, kills: true },
  'killed after': { fault: { kind: 'lose' }, kills: true },
  /** The worst that a stalled leader does: what it sent arrives when another is at work. */
  'killed, and it comes late': { fault: { kind: 'late', milliseconds: 1500 }, kills: true },
  'answer lost': { fault: { kind: 'lose' }, kills: false },
  delayed: { fault: { kind: 'delay', milliseconds: 2500 }, kills: false },
  'answered 409': { fault: { kind: 'answer', status: 409 }, kills: false },
  'answered 429': { fault: { kind: 'answer', status: 429, retryAfterSeconds: 1 }, kills: false },
  'answered 500': { fault: { kind: 'answer', status: 500 }, kills: false },
} as const satisfies Record<string, { fault: Fault; kills: boolean }>;

export type Strike = keyof typeof strikes;

export interface Point {
  /** The first write that says this. */
  write: string;
  strike: Strike;
}

export interface Played {
  /** What each write said, in their order. */
  writes: string[];
  /** Whether there was a write to strike. */
  reached: boolean;
  end: unknown;
  /** What the controller that came last, when all was over, still wrote. */
  afterwards: string[];
}

export interface Ground {
  direct: World;
  history: History;
  upstream: Upstream;
  clusterUid: string;
}

const settingsOf = (ground: Ground, scenario: Scenario) => ({
  executorImage: 'executor:test',
  clusterUid: ground.clusterUid,
  startTimeoutSeconds: scenario.startTimeoutSeconds ?? 600,
  maxRunning: 20,
  maxRunningPerNamespace: 5,
});

/** Controllers of one namespace, one after the other, all of whose writes are seen. */
class Succession {
  readonly writes: string[] = [];
  struck: Write | undefined;
  private readonly words = new Words();
  private readonly ground: Ground;
  private readonly stage: Stage;
  private readonly scenario: Scenario;
  private readonly point: Point | undefined;
  private current: { inside: Inside; proxy: ApiProxy } | undefined;
  private started = Promise.resolve();
  private readonly ended: Promise<void>[] = [];

  constructor(ground: Ground, stage: Stage, scenario: Scenario, point: Point | undefined) {
    this.ground = ground;
    this.stage = stage;
    this.scenario = scenario;
    this.point = point;
  }

  /** Kills the one there is, at once, and has the next one come. */
  next(): void {
    this.kill();
    this.started = this.start();
  }

  async end(): Promise<void> {
    await this.started;
    this.kill();
    await Promise.all(this.ended);
  }

  /** The one there is has nothing left to do. */
  isSettled(): boolean {
    return this.current?.inside.settled(this.stage.objects) === true;
  }

  private kill(): void {
    this.current?.inside.kill();
    if (this.current !== undefined) this.ended.push(this.current.proxy.stop());
    this.current = undefined;
  }

  private async start(): Promise<void> {
    const proxy = await startApiProxy(this.ground.upstream);
    // Events may be lost; all else counts.
    proxy.counts = (_, path) => !path.includes('/events');
    proxy.fault = (write) => this.fault(write);
    const settings = settingsOf(this.ground, this.scenario);
    this.current = { proxy, inside: await startInside(proxy.kubeconfig(), this.stage.namespace, settings) };
  }

  private fault(write: Write): Fault | undefined {
    const said = this.words.of(write);
    this.writes.push(said);
    if (this.struck !== undefined || said !== this.point?.write) return undefined;
    this.struck = write;
    const { fault, kills } = strikes[this.point.strike];
    return { ...fault, ...(kills ? { done: () => this.next() } : {}) };
  }
}

/**
 * Plays a scenario in a namespace of its own.
 * @param expected what is left without a fault: it has to come about before another controller looks
 */
export async function play(
  ground: Ground,
  scenario: Scenario,
  namespace: string,
  point?: Point,
  expected?: unknown,
): Promise<Played> {
  const stage = new Stage(ground.direct, ground.history, namespace);
  await stage.open();
  await scenario.before(stage);
  const controllers = new Succession(ground, stage, scenario, point);
  try {
    controllers.next();
    await scenario.play(stage);
    await stage.ended();
    if (controllers.struck !== undefined)
      await stage.until('the struck write has come or will not', () => isOver(controllers.struck, point));
    await stage.until(
      'all is done, as without the fault',
      () => controllers.isSettled() && (expected === undefined || isDeepStrictEqual(stage.end, expected)),
    );
    const before = controllers.writes.length;
    controllers.next();
    await stage.until('the next one has looked', () => controllers.isSettled());
    const { writes, struck } = controllers;
    const afterwards = writes.slice(before);
    return { writes: writes.slice(0, before), reached: struck !== undefined, end: stage.end, afterwards };
  } catch (error) {
    throw new Error(`${error}\n${controllers.writes.join('\n')}\n${JSON.stringify(stage.end, null, 1)}`, {
      cause: error,
    });
  } finally {
    await controllers.end();
  }
}

/** What comes late must have come. */
function isOver(struck: Write | undefined, point: Point | undefined): boolean {
  return point?.strike !== 'killed, and it comes late' || struck?.status !== undefined;
}
