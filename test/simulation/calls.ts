// The API server as one controller reaches it: each call takes its time there and back, and may meet a fault on the way.
import type { Kube } from '../../controller/kube.ts';
import type { Backup, Job, Lease } from '../../controller/objects.ts';
import { ApiError } from '../../controller/transport.ts';
import type { Random } from '../crds/seeded.ts';
import type { Agenda } from './agenda.ts';
import type { Api } from './api.ts';
import type { JobController } from './job-controller.ts';
import type { LiveReads } from './live-reads.ts';

export const faults = [
  'conflict',
  'too many',
  'server error',
  'answer lost',
  'never sent',
  'crash before',
  'crash after',
  'slow',
] as const;
export type Fault = (typeof faults)[number];

/** No answer came: the call may have been carried out. */
export class NoAnswer extends Error {}

export interface Line {
  agenda: Agenda;
  api: Api;
  jobs: JobController;
  random: Random;
  /** c0, c1 and so on. */
  name: string;
  /** Faults of the next writes, in their order. */
  faults: { fault: Fault; passes: number }[];
  /** The API server answers nobody. */
  away: () => boolean;
  /** A controller that stands still, or is dead by now, hears no answer. */
  deliver: (happen: () => void) => void;
  crash: () => void;
  /** Told of each call that changes something, and how it went. */
  trace: (what: string) => void;
  /** What was read live. */
  reads: LiveReads;
  /** A Job is about to be let go. */
  starts: (namespace: string, name: string, uid: string | undefined) => void;
  /** A Job is about to be deleted. */
  deletes: (namespace: string, name: string, uid: string) => void;
  /** A write has reached the server. */
  wrote: () => void;
}

type Call = <T>(what: string, writes: boolean, perform: () => T) => Promise<T>;

/** One call: there, carried out, and back. */
function caller(line: Line): Call {
  const { agenda, random } = line;
  return <T>(what: string, writes: boolean, perform: () => T): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const fault = writes ? nextFault(line) : undefined;
      const there = fault === 'slow' ? random.below(60_000) : 1 + random.below(20);
      const answer = (happen: () => void): void => agenda.in(1 + random.below(20), () => line.deliver(happen));
      agenda.in(there, () => {
        if (writes) line.wrote();
        const refused = fault === undefined ? undefined : refusal(fault, what);
        if (fault === 'crash before') line.crash();
        else if (line.away() || fault === 'never sent') answer(() => reject(new NoAnswer(`${what}: no connection`)));
        else if (refused !== undefined) answer(() => reject(refused));
        else carryOut(line, what, writes, perform, fault, { resolve, reject, answer });
        if (fault !== undefined) line.trace(`${what}: ${fault}`);
      });
    });
}

interface Ends<T> {
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
  answer: (happen: () => void) => void;
}

function carryOut<T>(
  line: Line,
  what: string,
  writes: boolean,
  perform: () => T,
  fault: Fault | undefined,
  { resolve, reject, answer }: Ends<T>,
): void {
  let result: T;
  try {
    result = perform();
    if (writes) line.trace(what);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (writes) line.trace(`${what}: ${error.status}`);
    answer(() => reject(error));
    return;
  }
  if (fault === 'crash after') line.crash();
  else if (fault === 'answer lost') answer(() => reject(new NoAnswer(`${what}: connection reset`)));
  else answer(() => resolve(result));
}

function nextFault({ faults: armed }: Line): Fault | undefined {
  const [first] = armed;
  if (first === undefined) return undefined;
  if (first.passes > 0) {
    first.passes -= 1;
    return undefined;
  }
  armed.shift();
  return first.fault;
}

function refusal(fault: Fault, what: string): ApiError | undefined {
  if (fault === 'conflict') return new ApiError(what, 409, 'simulated');
  if (fault === 'too many') return new ApiError(what, 429, 'simulated', 2);
  return fault === 'server error' ? new ApiError(what, 500, 'simulated') : undefined;
}

export function kubeOf(line: Line): Kube {
  const { api, name: by } = line;
  const call = caller(line);
  const read = <T>(perform: () => T): Promise<T> => call('', false, perform);
  return {
    kubeSystemUid: () => Promise.resolve('c0ffee'),
    getBackup: (namespace, name) =>
      read(() => {
        const backup = api.get('backups', namespace, name);
        line.reads.backup(by, namespace, name, backup);
        return backup;
      }),
    putBackupStatus: (body) =>
      call(`${by} status of ${body.metadata.name}${inShort(body)}`, true, () => api.put('backups', body, by)),
    getJob: (namespace, name) => read(() => api.get('jobs', namespace, name)),
    createJob: (namespace, body) =>
      call(`${by} create Job ${nameOf(body)}`, true, () => api.create('jobs', namespace, body, by)),
    patchJob: (namespace, name, body) => {
      const { spec, metadata } = body as Partial<Job>;
      if (spec?.suspend === false) line.starts(namespace, name, metadata?.uid);
      return call(`${by} patch Job ${name} ${JSON.stringify(spec ?? '').slice(0, 40)}`, true, () =>
        api.patch('jobs', namespace, name, body, by),
      );
    },
    deleteJob: (namespace, name, uid) => {
      line.deletes(namespace, name, uid);
      return call(`${by} delete Job ${name} ${uid}`, true, () => {
        const job = api.get('jobs', namespace, name);
        if (job?.metadata.uid !== uid) return false;
        api.remove('jobs', job, by);
        return true;
      });
    },
    jobsNamed: (namespace, backup) => read(() => api.jobsNamed(namespace, backup)),
    podsOfJob: (_, uid) => read(() => api.podsOfJob(uid)),
    getServiceAccount: () => read(() => undefined),
    getLease: (namespace, name) =>
      read(() => {
        const lease = api.get('leases', namespace, name);
        line.reads.lease(by, lease);
        return lease;
      }),
    createLease: (namespace, body) =>
      call(`${by} create Lease for ${holder(body)}`, true, () => api.create('leases', namespace, body, by)),
    putLease: (body) => call(`${by} Lease for ${holder(body)}`, true, () => api.put('leases', body, by)),
    createEvent: () => Promise.resolve(),
    patchEvent: () => Promise.resolve(),
    eventsAbout: (_, uid) => read(() => line.jobs.events.get(uid) ?? []),
  };
}

const nameOf = (body: object): string => (body as Job).metadata.name;
const holder = (body: object): string => (body as Lease).spec?.holderIdentity || 'nobody';

function inShort({ status = {} }: Backup): string {
  const { run, gate } = status;
  const claimed = run === undefined ? '' : `, run ${run.jobUID} ${run.outcome ?? 'claimed'}`;
  return `${claimed}${gate?.token === undefined ? '' : `, gate ${gate.token} ${gate.satisfiedBy ?? gate.failedAt ?? 'pending'}`}`;
}
