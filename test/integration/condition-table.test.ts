// The condition table: each state made by the real controller on a real API server, and read by what Flux and Argo CD read it with.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backup } from '../../controller/objects.ts';
import { rows, type State, states } from '../condition-table/rows.ts';
import { startCluster } from '../rig/cluster/cluster.ts';
import { ownedRig, stopOwnedRig } from '../rig/owned.ts';
import { gated } from './condition-table-gates.ts';
import { type Answer, argocd, flux, getJudges, kstatus } from './condition-table-judges.ts';
import { type Makers, observed, Stage } from './condition-table-stage.ts';
import { unwatched, watched } from './condition-table-states.ts';
import { createNamespace, installCrd, type World, world } from './controller-world.ts';
import { startProgram } from './program.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
const rig = ownedRig('conditions');
let api: World;
let kubeconfig: string;

interface Seen {
  object: Backup;
  kstatus: Answer;
  argocd: Answer;
  flux: Answer;
}

/** A state that could not be made fails its own test alone. */
const seen = new Map<State, Seen | Error>();

beforeAll(async () => {
  await getJudges();
  // Pods must stay where the test leaves them: never on a cluster with a node of somebody's own.
  const cluster = await startCluster({ name: rig, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
  ({ kubeconfig } = cluster);
  api = world(kubeconfig);
  await installCrd(api);
  const made = await makeAll();
  const there = [...made].filter((entry): entry is [State, Backup] => !(entry[1] instanceof Error));
  const objects = there.map(([, object]) => object);
  const answers = await Promise.all([kstatus(objects), argocd(objects), flux(api, objects)]);
  for (const [state, result] of made) if (result instanceof Error) seen.set(state, result);
  there.forEach(([state, object], index) => {
    const [ofKstatus, ofArgocd, ofFlux] = answers.map((list) => list[index] ?? { status: 'no answer' });
    if (ofKstatus !== undefined && ofArgocd !== undefined && ofFlux !== undefined)
      seen.set(state, { object, kstatus: ofKstatus, argocd: ofArgocd, flux: ofFlux });
  });
});

afterAll(() => stopOwnedRig(rig, log));

function startController() {
  const args = ['--executor-image', 'executor:test', '--no-leader-elect', '--health-port', '0', '--metrics-port', '0'];
  // All states at once: none may wait for room.
  return startProgram('controller/main.ts', [...args, '--max-running', '100'], { KUBECONFIG: kubeconfig });
}

async function makeAll(): Promise<Map<State, Backup | Error>> {
  const made = new Map<State, Backup | Error>();
  const stages = new Map<State, Stage>();
  for (const [index, state] of states.entries()) {
    stages.set(state, new Stage(api, `row-${index}`));
    await createNamespace(api, `row-${index}`);
  }
  const make = (makers: Makers): Promise<unknown> =>
    Promise.all(
      states.map(async (state) => {
        const [maker, stage] = [makers[state], stages.get(state)];
        if (maker === undefined || stage === undefined || made.get(state) instanceof Error) return;
        made.set(state, await maker(stage).catch((error: unknown) => new Error(`make "${state}"`, { cause: error })));
      }),
    );
  await make({ 'not observed yet': (stage) => stage.create() });
  const controller = startController();
  try {
    await make({ ...watched, ...gated, 'changed, and not observed yet': observed(), 'being deleted': observed() });
  } finally {
    await controller.kill();
  }
  await make(unwatched);
  return made;
}

describe('a DatabaseBackup', () => {
  it.each(states)('%s', (state) => {
    const row = rows[state];
    const found = seen.get(state);
    if (found === undefined) throw new Error(`"${state}" was not made: give it a maker in condition-table-states.ts`);
    if (found instanceof Error) throw found;
    const { status } = found.object;
    const conditions = (status?.conditions ?? []).map(
      ({ type, status: value, reason }) => `${type}=${value} ${reason}`,
    );
    expect({
      conditions: conditions.sort(),
      kstatus: found.kstatus.status,
      flux: found.flux.status,
      argocd: found.argocd.status,
    }).toEqual({
      conditions: row.conditions,
      kstatus: row.kstatus,
      // The expressions know no fourth answer: what goes is not there yet either.
      flux: row.kstatus === 'Terminating' ? 'InProgress' : row.kstatus,
      argocd: row.argocd,
    });
    expect(found.argocd.message).toContain(row.says);
  });
});
