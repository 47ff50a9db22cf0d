// What happens at the worst moment: in the middle of a launch, between a look at something and the write that rests on it.
import { type Backup, type Job, jobEnd, type Lease } from '../../controller/objects.ts';
import { annotations, labels as labelNames } from '../../crds/rules/names.ts';
import type { Random } from '../crds/seeded.ts';
import type { Change } from './api.ts';
import { isController } from './invariants.ts';
import { isBusy } from './lock-rules.ts';
import type { World } from './world.ts';

/** The lock has been taken, the run been claimed, the Job been let go: of the next run of a backup. */
export const moments = ['locked', 'claimed', 'started'] as const;
export const deeds = [
  'take the lock by force',
  'delete the lock',
  'delete',
  'recreate',
  'waver',
  'cancel',
  'delete job',
  'create again',
  'change the schedule',
] as const;

export interface Ambush {
  what: 'ambush';
  backup: string;
  moment: (typeof moments)[number];
  deed: (typeof deeds)[number];
  /** From the moment to the deed. */
  milliseconds: number;
}

/** Once a Job has been let go its lock is nobody's to take. */
export function ambush(random: Random, backup: string): Ambush {
  const deed = random.pick(deeds);
  const before = deed === 'take the lock by force' || deed === 'recreate' || deed === 'delete';
  const unclaimed = deed === 'change the schedule';
  const late = deed === 'waver' || deed === 'create again';
  const moment = unclaimed
    ? 'locked'
    : late
      ? 'claimed'
      : random.pick(before ? (['locked', 'claimed'] as const) : moments);
  const milliseconds = random.below(random.pick([100, 100, 2000]));
  return { what: 'ambush', backup, moment, deed, milliseconds };
}

/** Waits for the moment, as long as the chaos lasts, and does the deed once. */
export function lieInWait(world: World, plan: Ambush): void {
  let waits = true;
  const token = `waver ${world.agenda.now}`;
  const backup = plan.deed === 'waver' ? world.find(plan.backup) : undefined;
  if (backup !== undefined) world.edit(backup, 'spec.gate', { token, timeoutSeconds: 3600, onFailure: 'Block' });
  world.api.followers.push((change) => {
    if (!waits || world.kubelet.calm || !isMoment(world, plan, change)) return;
    if (backup !== undefined && (change.after as Backup).status?.run?.gate !== token) return;
    waits = false;
    world.agenda.in(plan.milliseconds, () => {
      world.trace(`-- ${plan.deed}, ${plan.milliseconds} ms after ${plan.backup} was ${plan.moment}`);
      perform(world, plan);
    });
  });
}

function isMoment(world: World, { backup: name, moment }: Ambush, { kind, before, after, by }: Change): boolean {
  const backup = world.find(name);
  if (backup === undefined || after === undefined || !isController(by)) return false;
  if (moment === 'claimed') {
    const [was, is] = [before, after].map((one) => (one as Backup | undefined)?.status?.run?.jobUID);
    return kind === 'backups' && after.metadata.uid === backup.metadata.uid && is !== undefined && is !== was;
  }
  const jobs = new Set(world.jobsOf(backup).map(({ metadata }) => metadata.uid));
  if (moment === 'locked') {
    const [was, is] = [before, after].map((one) => (one as Lease | undefined)?.spec?.holderIdentity);
    return kind === 'leases' && is !== undefined && is !== was && jobs.has(is);
  }
  const [was, is] = [before, after].map((one) => (one as Job | undefined)?.spec?.suspend);
  return kind === 'jobs' && jobs.has(after.metadata.uid) && was === true && is === false;
}

function perform(world: World, { backup: name, deed }: Ambush): void {
  const { api, agenda } = world;
  const backup = world.find(name);
  if (backup === undefined) return;
  const claimed = world.jobsOf(backup).find(({ metadata }) => metadata.uid === backup.status?.run?.jobUID);
  if (deed === 'take the lock by force') takeByForce(world, backup);
  else if (deed === 'delete the lock') deleteLock(world, backup);
  else if (deed === 'waver') waver(world, backup);
  else if (deed === 'change the schedule') changeSchedule(world, backup);
  else if (deed === 'create again' && claimed !== undefined) createAgain(world, claimed);
  else if (deed === 'delete' || deed === 'recreate') {
    api.remove('backups', backup, 'user');
    if (deed === 'recreate') agenda.in(500, () => world.create(world.planned(name)));
  } else if (claimed === undefined) return;
  else if (deed === 'delete job') api.remove('jobs', claimed, 'user');
  else if (claimed.spec.suspend === false)
    api.change('jobs', claimed, 'user', (old) => ({ ...old, spec: { ...old.spec, suspend: true } }));
}

const openTime = 20_000;

/** Somebody takes the Lease for what holds a backup up, and deletes it. */
function deleteLock({ api }: World, { metadata, status }: Backup): void {
  const lease = api.get('leases', metadata.namespace, `dbbackup-${status?.effective?.cluster}`);
  if (lease !== undefined) api.remove('leases', lease, 'user');
}

/** Somebody edits the Lease, whoever holds it, as long as no Job works under it; and gives it back when none does. */
function takeByForce(world: World, { metadata, status }: Backup): void {
  const { api, agenda } = world;
  const lease = api.get('leases', metadata.namespace, `dbbackup-${status?.effective?.cluster}`);
  const held = lease?.spec?.holderIdentity ?? '';
  if (lease === undefined || held === '' || held.startsWith('upgrade-')) return;
  const started = [...api.all('jobs').values()].some((job) => job.metadata.uid === held && job.spec.suspend === false);
  if (started) return;
  // Who knows the fields alone leaves what we wrote beside them.
  const { [annotations.job]: _, [annotations.jobUid]: __, ...rest } = lease.metadata.annotations ?? {};
  const kept = agenda.now % 2 === 0 ? lease.metadata.annotations : rest;
  const time = new Date(agenda.now).toISOString().replace('Z', '000Z');
  const spec = { holderIdentity: `upgrade-${agenda.now}`, acquireTime: time, renewTime: time };
  api.change('leases', lease, 'foreigner', (old) => ({
    ...old,
    metadata: { ...old.metadata, ...(kept === undefined ? {} : { annotations: kept }) },
    spec,
  }));
  agenda.in(openTime, () => giveBack(world, lease));
}

/** A start that was under way when the lock was taken goes on; the lock is not given back before its end. */
export function giveBack(world: World, lease: Lease): void {
  const { api, agenda } = world;
  if (isBusy(api, lease)) agenda.in(openTime, () => giveBack(world, lease));
  else
    api.change('leases', lease, 'foreigner', (old) =>
      old.spec?.holderIdentity?.startsWith('upgrade-') === true
        ? { ...old, spec: { ...old.spec, holderIdentity: '' } }
        : old,
    );
}

/** Windows before the change are neither run nor missed, also one whose Job waits. */
function changeSchedule(world: World, backup: Backup): void {
  const { schedule } = backup.spec;
  if (schedule !== undefined)
    world.edit(backup, 'spec.schedule', schedule === '1-59/5 * * * *' ? '2-59/5 * * * *' : '1-59/5 * * * *');
}

/** What a controller that stood still has sent arrives when the run it was for is over, and its Job gone. */
function createAgain(world: World, job: Job): void {
  const { api, agenda } = world;
  if (world.kubelet.calm) return;
  const { namespace, name, labels, ownerReferences, annotations: found = {}, uid } = job.metadata;
  const now = api.get('jobs', namespace, name);
  const run = world.find(labels?.[labelNames.backup] ?? '')?.status?.run;
  if (now !== undefined && jobEnd(now) !== undefined && (run?.jobUID !== uid || run.outcome !== undefined))
    api.remove('jobs', now, 'user');
  if (api.get('jobs', namespace, name) !== undefined || api.going.has(namespace)) {
    agenda.in(openTime, () => createAgain(world, job));
    return;
  }
  const { [annotations.started]: _, ...rest } = found;
  const metadata = { name, labels, ownerReferences, annotations: rest };
  api.create('jobs', namespace, { metadata, spec: { ...job.spec, suspend: true } }, 'user');
}

/** The gate's change is taken back and made again while its run goes on: that run is no backup before it. */
function waver(world: World, backup: Backup): void {
  const { gate } = backup.spec;
  if (gate === undefined || !gate.token.startsWith('waver')) return;
  world.edit(backup, 'spec.gate', { ...gate, token: `not ${gate.token}` });
  world.agenda.in(1000, () => {
    const now = world.find(backup.metadata.name);
    if (now?.metadata.uid === backup.metadata.uid) world.edit(now, 'spec.gate', gate);
  });
}
