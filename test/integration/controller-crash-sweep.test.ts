// Each write of the controller, in each story, is struck on a real API server: one run for what is asked, and the same end.
// DBBACKUP_SWEEP=all strikes every write in every way. Otherwise each is killed before and after and loses its answer, and the other ways
// take turns over the writes: TEST_SEED turns them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCluster } from '../rig/cluster/cluster.ts';
import { upstreamOf } from '../rig/faults/api-proxy.ts';
import { Judge } from '../rig/faults/judge.ts';
import { ownedRig, stopOwnedRig } from '../rig/owned.ts';
import { type Ground, type Point, play, type Strike, strikes } from './controller-crash-points.ts';
import { type Scenario, scenarios } from './controller-crash-scenarios.ts';
import { History } from './controller-history.ts';
import { installCrd, world } from './controller-world.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
const rig = ownedRig('sweep');
/** Points of a story that are played at a time; most of each is waiting for the Job controller. Vitest runs five stories at a time. */
const sideBySide = 3;
const always: readonly Strike[] = ['killed before', 'killed after', 'answer lost'];
const others = (Object.keys(strikes) as Strike[]).filter((strike) => !always.includes(strike));
const all = process.env['DBBACKUP_SWEEP'] === 'all';
const seed = Number(process.env['TEST_SEED'] ?? '20250327');

let ground: Ground;
/** Of all stories, by strike. */
const swept = new Map<Strike, number>();

beforeAll(async () => {
  // Pods must stay where the test leaves them: never on a cluster with a node of somebody's own.
  const cluster = await startCluster({ name: rig, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
  const direct = world(cluster.kubeconfig);
  await installCrd(direct);
  const history = new History(direct);
  await history.start();
  const upstream = await upstreamOf(cluster.kubeconfig);
  ground = { direct, history, upstream, clusterUid: await direct.kube.kubeSystemUid() };
});

afterAll(async () => {
  const count = [...swept.values()].reduce((sum, each) => sum + each, 0);
  log(`${count} points swept: ${[...swept].map(([strike, each]) => `${each} ${strike}`).join(', ')}`);
  ground?.history.stop();
  await stopOwnedRig(rig, log);
});

function pointsOf(writes: readonly string[], story: number): Point[] {
  return [...new Set(writes)].flatMap((write, index) => {
    const turn = others[(index + story + seed) % others.length];
    return [...always, ...(all || turn === undefined ? others : [turn])].map((strike) => ({ write, strike }));
  });
}

/** Does it for each, so many at a time. */
async function inTurn<T>(list: readonly T[], act: (item: T, index: number) => Promise<void>): Promise<void> {
  const entries = list.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of entries) await act(item, index);
  };
  await Promise.all(Array.from({ length: sideBySide }, worker));
}

/** What is wrong when one write is struck; undefined when all comes out as it should. */
async function wrongAt(scenario: Scenario, namespace: string, point: Point, end: unknown): Promise<string | undefined> {
  try {
    const { reached, afterwards } = await play(ground, scenario, namespace, point, end);
    if (!reached) return 'the write never came';
    return afterwards.length === 0 ? undefined : `another controller still wrote ${afterwards}`;
  } catch (error) {
    return String(error);
  }
}

/** What is wrong with all that happened in the namespaces of a story; each of them must have seen so many Jobs run. */
function breaches(story: string, namespaces: readonly string[], { ran }: Scenario): string[] {
  const { jobs, pods, leases } = ground.history;
  const ofStory = ({ object }: { object: { metadata: { namespace: string } } }): boolean =>
    object.metadata.namespace.startsWith(`${story}-`);
  const judge = new Judge(jobs.told.filter(ofStory), pods.told.filter(ofStory), leases.told.filter(ofStory));
  const wrong = namespaces.flatMap((namespace) => {
    const found = [...judge.ran.keys()].filter((what) => what.startsWith(`${namespace}/`)).length;
    return found === ran ? [] : [`${namespace}: ${found} runs instead of ${ran}`];
  });
  return [...judge.breaches, ...wrong];
}

describe.concurrent('whatever befalls whichever write, there is one run and the same end', () => {
  it.each(Object.entries(scenarios))(
    '%s',
    async (name, scenario) => {
      const number = Object.keys(scenarios).indexOf(name);
      const story = `story-${number}`;
      const reference = await play(ground, scenario, `${story}-reference`);
      expect(reference.end).toMatchObject(scenario.end);
      expect(reference.afterwards).toEqual([]);
      const points = pointsOf(reference.writes, number);
      const failures: string[] = [];
      await inTurn(points, async (point, index) => {
        const said = await wrongAt(scenario, `${story}-${index}`, point, reference.end);
        if (said === undefined) swept.set(point.strike, (swept.get(point.strike) ?? 0) + 1);
        else failures.push(`${story}-${index}: "${point.write}" ${point.strike}: ${said}`);
      });
      expect(failures).toEqual([]);
      await ground.history.complete('default');
      const namespaces = [`${story}-reference`, ...points.map((_, index) => `${story}-${index}`)];
      expect(breaches(story, namespaces, scenario)).toEqual([]);
      log(`${name}: ${points.length} points at ${new Set(reference.writes).size} writes`);
    },
    1_800_000,
  );
});
