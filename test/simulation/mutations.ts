// Bugs that the simulation has to find: each is a change of one line of the controller, made as it is loaded, that breaks a promise.
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

export interface Mutation {
  /** From the folder of the controller. */
  file: string;
  from: string;
  to: string;
}

export const mutations: Readonly<Record<string, Mutation>> = {
  'a Job is started without a look at its claim': {
    file: 'apply.ts',
    from: 'if (live?.metadata.uid !== backup.metadata.uid || run?.jobUID !== uid || run.outcome !== undefined)',
    to: 'if (live === null)',
  },
  'a Job is started without a look at its Lease': {
    file: 'apply.ts',
    from: 'if (lease?.spec?.holderIdentity !== uid) throw',
    to: 'if (lease === undefined) throw',
  },
  'a start forgets what it was decided from': {
    file: 'apply.ts',
    from: 'metadata: { uid, resourceVersion, annotations:',
    to: 'metadata: { uid, annotations:',
  },
  'a run counts for a gate that has changed since its claim': {
    file: 'steps/gate.ts',
    from: 'if (status.run !== undefined && status.run.outcome === undefined) delete status.run.gate;',
    to: '',
  },
  'a foreign holder without a duration is passed over': {
    file: 'lock.ts',
    from: 'return holder.until !== undefined && holder.until <= now;',
    to: 'return holder.until === undefined || holder.until <= now;',
  },
  'a foreign holder is passed over before its time': {
    file: 'lock.ts',
    from: 'return holder.until !== undefined && holder.until <= now;',
    to: 'return holder.until !== undefined;',
  },
  'a lock is given back while a pod still works': {
    file: 'observe.ts',
    from: 'return !(await kube.podsOfJob(namespace, jobUid)).every(podEnded);',
    to: 'return false;',
  },
  'a waiting Job is deleted without a look at its claim': {
    file: 'apply.ts',
    from: 'if (effect.waits === true) await seeUnclaimed(kube, backup, effect);',
    to: '',
  },
  'a spent window may be claimed again': {
    file: 'steps/waiting.ts',
    from: 'return handled !== undefined && Date.parse(purpose.slot) <= Date.parse(handled);',
    to: 'return false;',
  },
  'a claimed Job that the cache does not show is gone': {
    file: 'observe.ts',
    from: 'const live = await kube.getJob(backup.metadata.namespace, run.jobName);',
    to: 'const live: Job | undefined = undefined as Job | undefined;',
  },
  'a Job that is gone has succeeded': {
    file: 'outcome.ts',
    from: "return pods.every(podEnded) ? failed('Unknown', 'its Job is gone and no result was seen') : undefined;",
    to: "return pods.every(podEnded) ? { outcome: 'Succeeded' } : undefined;",
  },
  'a Job that failed has succeeded': {
    file: 'outcome.ts',
    from: "if (end === 'Complete')",
    to: 'if (end)',
  },
  'a canceled run counts as a failure': {
    file: 'steps/run.ts',
    from: "if (outcome.outcome === 'Failed') {",
    to: '{',
  },
  'a run whose pod was stopped was canceled': {
    file: 'outcome.ts',
    from: "return stopped ?? failed('Evicted', 'it was told to stop, and nothing on it says why: somebody deleted it');",
    to: "return { outcome: 'Canceled' };",
  },
  'a Job that works under no lock is not seen': {
    file: 'steps/launch.ts',
    from: 'const other = observed.atWork.find(({ uid }) => uid !== job.metadata.uid);',
    to: 'const other = observed.atWork.find(({ uid }) => uid === job.metadata.name);',
  },
  'who takes the lock by its fields alone is not seen': {
    file: '../crds/rules/holder.ts',
    from: "uid === '' || uid !== spec?.holderIdentity",
    to: "uid === ''",
  },
  'a run that was drained has no time to get another pod': {
    file: 'steps/run.ts',
    from: 'return { since: Math.max(started, gone, ...pods), another };',
    to: 'return { since: started, another: gone < 0 };',
  },
  'the claimed Job is history': {
    file: 'steps/run.ts',
    from: 'if (!claimed.includes(job.metadata.uid) && !isOfLaterClaim(draft, job))',
    to: '',
  },
  'Jobs that run take no room under the caps': {
    file: 'seats.ts',
    from: 'const seen = this.caches.running(namespace);',
    to: 'const seen = { overall: 0, namespace: 0 };',
  },
  'a window of an earlier schedule runs': {
    file: 'steps/waiting.ts',
    from: "if (slot !== undefined && Date.parse(slot) <= Date.parse(draft.status.scheduleBaseline ?? ''))",
    to: "if (slot === '')",
  },
  'a window that was missed is counted twice': {
    file: 'steps/time.ts',
    from: 'const count = Math.min(skipped, missedLimit) + more;',
    to: 'const count = Math.min(skipped, missedLimit) + 2 * more;',
  },
  'a window that was passed over is not counted': {
    file: 'steps/time.ts',
    from: 'const count = Math.min(skipped, missedLimit) + more;',
    to: 'const count = more;',
  },
  'a token is served anew at each look': {
    file: 'steps/launch.ts',
    from: 'if (token !== undefined) status.lastHandledTrigger = { token, jobUID };',
    to: '',
  },
  'a status is written when nothing changed': {
    file: 'status.ts',
    from: 'if (sameJson(before.status ?? {}, decision.status)) return undefined;',
    to: '',
  },
};

const urlOf = (file: string): string => new URL(`../../controller/${file}`, import.meta.url).href;

/** @throws when the line is not, or no longer, there exactly once */
export function mutated(name: string, source = readFileSync(fileURLToPath(urlOf(found(name).file)), 'utf8')): string {
  const { file, from, to } = found(name);
  const parts = source.split(from);
  if (parts.length !== 2)
    throw new Error(
      `mutate controller/${file} "${name}": its line is there ${parts.length - 1} times: mend mutations.ts`,
    );
  return parts.join(to);
}

/** From here on the controller is loaded with that bug. */
export function mutate(name: string): void {
  const target = urlOf(found(name).file);
  registerHooks({
    load: (url, context, next) => {
      const loaded = next(url, context);
      return url === target ? { ...loaded, source: mutated(name, String(loaded.source)) } : loaded;
    },
  });
}

function found(name: string): Mutation {
  const mutation = mutations[name];
  if (mutation !== undefined) return mutation;
  throw new Error(`find mutation "${name}": one of ${Object.keys(mutations).join('; ')}`);
}
