// What people, machines and the network do to the world, each in one function.

import { type Job, jobEnd, type Lease } from '../../controller/objects.ts';
import { annotations, leaseName, windowJobName } from '../../crds/rules/names.ts';
import { parseSchedule } from '../../crds/rules/schedule.ts';
import { lieInWait } from './ambush.ts';
import type { Action, Happening } from './history.ts';
import type { World } from './world.ts';

const second = 1000;

export function act(world: World, action: Action): void {
  const { agenda } = world;
  world.trace(`-- ${inWords(action)}`);
  switch (action.what) {
    case 'outage':
      world.awayUntil = agenda.now + action.seconds * second;
      return;
    case 'fate':
      world.kubelet.armed.set(action.backup, [...(world.kubelet.armed.get(action.backup) ?? []), action.fate]);
      return;
    case 'namespace goes':
      namespaceGoes(world, action.namespace);
      return;
    case 'foreign lock':
      foreignLock(world, action);
      return;
    case 'ambush':
      lieInWait(world, action);
      return;
    case 'fault':
    case 'crash':
    case 'pause':
    case 'lag':
    case 'relist':
    case 'repeat':
    case 'clock':
      toController(world, action);
      return;
    default:
      toBackup(world, action);
  }
}

function toController(world: World, action: Extract<Happening, { controller: number }>): void {
  const one = world.controllers[action.controller];
  if (one === undefined) return;
  if (action.what === 'fault') one.arm(action.fault, action.passes);
  else if (action.what === 'repeat') one.repeat(action.kind);
  else if (action.what === 'crash') one.crash(action.seconds * second);
  else if (action.what === 'pause') one.pause(action.seconds * second);
  else if (action.what === 'lag') one.hold(action.kind, action.seconds * second);
  else if (action.what === 'relist') one.relist(action.kind, action.seconds * second);
  else {
    const { offset } = one;
    one.jump(action.seconds * second);
    if (action.lasts !== undefined) world.agenda.in(action.lasts * second, () => one.jump(offset));
  }
}

function toBackup(world: World, action: Extract<Happening, { backup: string }>): void {
  const { api, agenda } = world;
  const backup = world.find(action.backup);
  if (backup === undefined) return;
  switch (action.what) {
    case 'edit':
      world.edit(backup, `spec.${action.field}`, action.value);
      return;
    case 'trigger': {
      const { [annotations.trigger]: _, ...rest } = backup.metadata.annotations ?? {};
      const next = action.token === undefined ? rest : { ...rest, [annotations.trigger]: action.token };
      world.edit(backup, 'metadata.annotations', next);
      return;
    }
    case 'delete':
    case 'recreate':
      api.remove('backups', backup, 'user');
      if (action.what === 'recreate')
        agenda.in(action.seconds * second, () => world.create(world.planned(action.backup)));
      return;
    case 'foreign job':
      foreignJob(world, action.backup, action.seconds);
      return;
    default:
      toJob(world, action, world.jobsOf(backup));
  }
}

function toJob(world: World, action: Happening, jobs: readonly Job[]): void {
  const { api } = world;
  if (action.what === 'cancel') {
    // Who cancels looks for the Job by its labels.
    const job = jobs.find((one) => one.spec.suspend === false && jobEnd(one) === undefined && one.metadata.labels);
    if (job !== undefined) api.change('jobs', job, 'user', (old) => ({ ...old, spec: { ...old.spec, suspend: true } }));
  } else if (action.what === 'strip labels') {
    const job = jobs.at(-1);
    if (job === undefined) return;
    api.change('jobs', job, 'user', ({ metadata: { labels: _, ...metadata }, ...rest }) => ({ ...rest, metadata }));
  } else if (action.what === 'delete job') {
    const claimed = world.find(action.backup)?.status?.run?.jobUID;
    const job =
      action.which === 'claimed'
        ? jobs.find(({ metadata }) => metadata.uid === claimed)
        : jobs.at(action.which === 'first' ? 0 : -1);
    if (job === undefined) return;
    if (action.slowly) world.jobs.removeSlowly(job);
    else api.remove('jobs', job, 'user');
  }
}

/** Somebody else's Job has the name of the next window's. */
function foreignJob(world: World, name: string, seconds: number): void {
  const { api, agenda } = world;
  const { namespace, spec } = world.planned(name);
  const schedule = parseSchedule(spec.schedule ?? '*/5 * * * *', spec.timeZone ?? 'Etc/UTC', `${namespace}/${name}`);
  const next = schedule.next(agenda.now);
  if (next === undefined) return;
  const given = { metadata: { name: windowJobName(name, new Date(next)) }, spec: { suspend: true } };
  if (api.going.has(namespace) || api.get('jobs', namespace, given.metadata.name) !== undefined) return;
  const job = api.create('jobs', namespace, given, 'user');
  agenda.in(seconds * second, () => api.remove('jobs', job, 'user'));
}

/** An upgrade that takes the lock by the rules: where it is free, or its holder's time has passed. */
function foreignLock(
  world: World,
  { cluster, holdSeconds, leaseSeconds }: Extract<Happening, { what: 'foreign lock' }>,
): void {
  const { api, agenda } = world;
  if (api.going.has('shop')) return;
  const found = api.get('leases', 'shop', leaseName(cluster));
  if ((found?.spec?.holderIdentity ?? '') !== '') return;
  const time = new Date(agenda.now).toISOString().replace('Z', '000Z');
  const duration = leaseSeconds === undefined ? {} : { leaseDurationSeconds: leaseSeconds };
  const spec = { holderIdentity: `upgrade-${agenda.now}`, acquireTime: time, renewTime: time, ...duration };
  const taken = { metadata: { name: leaseName(cluster), ...(found?.metadata ?? {}) }, spec };
  const lease =
    found === undefined
      ? api.create('leases', 'shop', taken, 'foreigner')
      : api.put('leases', taken as Lease, 'foreigner');
  agenda.in(holdSeconds * second, () =>
    api.change('leases', lease, 'foreigner', (old) =>
      old.spec?.holderIdentity === spec.holderIdentity ? { ...old, spec: { ...old.spec, holderIdentity: '' } } : old,
    ),
  );
}

function namespaceGoes(world: World, namespace: string): void {
  const { api, agenda } = world;
  api.going.add(namespace);
  const there = (['backups', 'leases', 'jobs'] as const).flatMap((kind) =>
    [...api.all(kind).values()].map((object) => ({ kind, object })),
  );
  const own = there.filter(({ object }) => object.metadata.namespace === namespace);
  for (const [index, { kind, object }] of own.entries())
    agenda.in(index * 700, () => api.remove(kind, object, 'collector'));
  agenda.in(own.length * second, () => {
    for (const pod of api.all('pods').values()) if (pod.metadata.namespace === namespace) world.kubelet.remove(pod);
  });
}

export function inWords({ at: _, what, ...rest }: Action): string {
  const details = Object.entries(rest).map(
    ([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${what}: ${details.join(', ')}`;
}
