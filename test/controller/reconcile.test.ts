// One look at one backup: its writes in their order, one status write, and nothing told that does not stand.
import { beforeEach, describe, expect, test } from 'vitest';
import { reconcile, type World } from '../../controller/reconcile.ts';
import { Staleness } from '../../controller/staleness.ts';
import { ApiError } from '../../controller/transport.ts';
import { backup, claimOf, committedPod, job, jobName, lease, settings } from './builders.ts';
import { MemoryKube, wired } from './memory-kube.ts';

const key = 'shop/orders';
let now: number;
let kube: MemoryKube;
let told: string[];
beforeEach(() => {
  now = Date.parse('2025-03-27T01:00:05Z');
  kube = new MemoryKube().put('backups', backup());
  told = [];
});

/** One look with caches that show what is stored. */
async function look(change: Partial<World> = {}): Promise<number | undefined> {
  const { caches, seats } = wired(kube, { now: () => now });
  kube.calls.splice(0);
  const world: World = {
    kube,
    caches,
    seats,
    settings,
    staleness: new Staleness(),
    launchesWait: () => false,
    now: () => new Date(now),
    finished: (_, { result }) => told.push(`finished ${result}`),
    tell: (_, { reason }) => told.push(reason),
    forget: (gone) => told.push(`forget ${gone}`),
  };
  return await reconcile({ ...world, ...change }, key);
}
const writes = () => kube.calls.filter((call) => !/^(get|list) /.test(call));
const status = () => kube.backups.get(key)?.status;
const condition = (type: string) => status()?.conditions?.find((one) => one.type === type);
const pods = (jobUid: string) => [
  {
    ...committedPod(),
    metadata: { ...committedPod().metadata, labels: { 'batch.kubernetes.io/controller-uid': jobUid } },
  },
];

/** A run whose Job has failed, of which status does not know yet. */
function putFailedRun(): void {
  const ended = job({ started: '2025-03-27T01:00:10Z', ended: 'Failed' });
  const status = { run: claimOf(ended), lastAttemptScheduledTime: '2025-03-27T01:00:00Z' };
  kube.put('backups', backup({ status })).put('jobs', ended);
}

const refuseJobs = (code: number): void => {
  kube.refuse = (call) => {
    if (call.startsWith('create job')) throw new ApiError(call, code, 'no');
  };
};

test('a window is run a step a look, each with its one status write at most, and then all is quiet', async () => {
  const steps: string[][] = [];
  const step = async () => {
    const at = await look();
    steps.push(writes());
    return at;
  };
  for (let at = 0; at < 4; at++) await step();
  const started = kube.jobs.get(`shop/${jobName}`);
  expect(started?.spec.suspend).toBe(false);
  const uid = started?.metadata.uid ?? '';
  kube.put('jobs', { ...(started ?? job()), status: { conditions: [{ type: 'Complete', status: 'True' }] } });
  kube.put('pods', ...pods(uid));
  for (let at = 0; at < 3; at++) await step();
  expect(steps).toEqual([
    [`create job ${jobName}`, 'put status orders'],
    ['create lease dbbackup-orders-db'],
    ['claim status orders'],
    [`patch job ${jobName}`],
    ['put lease dbbackup-orders-db', 'put status orders'],
    [],
    [],
  ]);
  expect(await look()).toBe(Date.parse('2025-03-28T01:00:00Z'));
  expect(told).toEqual(['finished Succeeded', 'BackupSucceeded']);
  expect(status()).toMatchObject({ phase: 'Succeeded', run: { jobUID: uid, outcome: 'Succeeded' } });
});

test('a launch takes four writes: the window after it is told with the claim', async () => {
  now = Date.parse('2025-03-26T12:00:00Z');
  await look();
  now = Date.parse('2025-03-27T01:00:05Z');
  const steps: string[][] = [];
  for (let at = 0; at < 4; at++) {
    await look();
    steps.push(writes());
  }
  expect(steps).toEqual([
    [`create job ${jobName}`],
    ['create lease dbbackup-orders-db'],
    ['claim status orders'],
    [`patch job ${jobName}`],
  ]);
  expect(status()?.nextScheduledBackup).toBe('2025-03-28T01:00:00Z');
});

test('a window whose Job the cache does not show yet is not given up: its Job goes before the next window', async () => {
  await look();
  now += 86_400_000;
  const { seats } = wired(kube);
  await look({ seats, caches: kube.caches({ jobs: new Map() }) });
  expect(writes().filter((call) => call.startsWith('create job'))).toEqual([]);
  expect(status()).toMatchObject({ missedWindows: 1, missedUntil: '2025-03-28T01:00:00Z' });
});

describe('an object that is gone', () => {
  test('is forgotten and waits no more', async () => {
    kube.backups.clear();
    const { seats, caches } = wired(kube);
    seats.waits(key, true);
    expect(await look({ seats, caches })).toBeUndefined();
    expect([told, seats.nextInLine(), kube.calls]).toEqual([[`forget ${key}`], [], []]);
  });

  test('is not forgotten while it is going', async () => {
    kube.put('backups', backup({ metadata: { deletionTimestamp: '2025-03-27T01:00:00Z' } }));
    expect(await look()).toBeUndefined();
    expect([told, kube.calls]).toEqual([[], []]);
  });
});

describe('a lock that no backup looks after any more', () => {
  const lookAt = async (): Promise<number | undefined> => {
    const { caches, seats } = wired(kube, { now: () => now });
    kube.calls.splice(0);
    const rest = { settings, staleness: new Staleness(), launchesWait: () => false, now: () => new Date(now) };
    const unused = { finished: () => {}, tell: () => {}, forget: () => {} };
    return await reconcile({ kube, caches, seats, ...rest, ...unused }, 'leases/shop/dbbackup-orders-db');
  };
  const holder = job({ started: '2025-03-27T01:00:00Z' });
  const held = {
    ...lease(holder),
    metadata: { ...lease(holder).metadata, labels: { 'dbbackup.io/cluster': 'orders-db' } },
  };
  beforeEach(() => {
    kube.backups.clear();
    kube.put('leases', held);
  });

  test('is given back once its Job is gone and no pod of it works, not sooner', async () => {
    kube.put('jobs', holder);
    expect(await lookAt()).toBe(now + 60_000);
    kube.jobs.clear();
    const [pod] = pods('job-1');
    kube.put('pods', { ...(pod ?? committedPod()), status: { phase: 'Running' } });
    expect(await lookAt()).toBe(now + 60_000);
    expect(writes()).toEqual([]);
    kube.pods.clear();
    expect(await lookAt()).toBeUndefined();
    expect(writes()).toEqual(['put lease dbbackup-orders-db']);
    expect(kube.leases.get('shop/dbbackup-orders-db')?.spec?.holderIdentity).toBe('');
    expect(await lookAt()).toBeUndefined();
    expect(writes()).toEqual([]);
  });

  test('is left alone where a backup is there to look after it, and where somebody else holds it', async () => {
    kube.put('backups', backup());
    expect(await lookAt()).toBeUndefined();
    kube.backups.clear();
    kube.put('leases', { ...held, spec: { ...held.spec, holderIdentity: 'upgrade' } });
    expect(await lookAt()).toBeUndefined();
    expect(writes()).toEqual([]);
  });
});

describe('a launch that is refused', () => {
  const refuseCalls = (start: string) => {
    kube.refuse = (call) => {
      if (call.startsWith(start)) throw new ApiError(call, 403, 'exceeded quota');
    };
  };

  test.each([
    ['at the lock', 'create lease'],
    ['at the start', 'patch job'],
  ])('%s is shown, tried again, and goes on when it is let', async (_name, call) => {
    refuseCalls(call);
    for (let at = 0; at < 5; at++) await look();
    expect(condition('BackupHealthy')).toMatchObject({ status: 'False', reason: 'JobRefused' });
    expect(condition('BackupHealthy')?.message).toContain('exceeded quota');
    expect(told.filter((one) => one === 'JobRefused')).toHaveLength(1);
    expect(await look()).toBeLessThanOrEqual(now + 30_000);
    kube.refuse = () => {};
    for (let at = 0; at < 4; at++) await look();
    expect(kube.jobs.get(`shop/${jobName}`)?.spec.suspend).toBe(false);
    expect(condition('BackupHealthy')?.reason).toBe('NeverSucceeded');
  });
});

describe('what stands in the way of a Job', () => {
  test('is shown in this very look, told once, and tried again', async () => {
    const foreign = { ...job(), metadata: { ...job().metadata, ownerReferences: [] } };
    kube.put('jobs', foreign);
    expect(await look()).toBe(now + 30_000);
    expect(condition('BackupHealthy')).toMatchObject({ status: 'False', reason: 'NameConflict' });
    expect(told).toEqual(['NameConflict']);
    await look();
    expect(told).toEqual(['NameConflict']);
    expect(writes()).toEqual([`create job ${jobName}`]);
    kube.jobs.clear();
    await look();
    expect(condition('BackupHealthy')?.reason).toBe('NeverSucceeded');
    expect(kube.jobs.has(`shop/${jobName}`)).toBe(true);
  });

  test('does not make it sleep past a time at which something else happens', async () => {
    const gate = { token: 'B', observedAt: '2025-03-27T00:00:15Z' };
    kube.put('backups', backup({ spec: { gate: { token: 'B' } }, status: { gate } }));
    refuseJobs(403);
    expect(await look()).toBe(Date.parse('2025-03-27T01:00:15Z'));
  });
});

describe('a world that has changed meanwhile', () => {
  const waits = () => kube.put('jobs', job()).put('leases', lease(undefined));

  test.each([
    ['the lock', 'put lease dbbackup-orders-db', waits],
    ['the status', 'put status orders', () => {}],
    ['the claim', 'claim status orders', () => kube.put('jobs', job()).put('leases', lease(job()))],
  ])('is looked at again soon, and nothing is told: %s', async (_name, refused, happens) => {
    happens();
    kube.refuse = (call) => {
      if (call === refused) throw new ApiError(call, 409, 'has changed');
    };
    const before = status();
    expect(await look()).toBe(now + 200);
    expect(kube.calls).toContain(refused);
    expect([told, status()]).toEqual([[], before]);
  });

  test('again and again is looked at ever later, and soon again once a look came to its end', async () => {
    const staleness = new Staleness();
    const again = async (): Promise<number> => ((await look({ staleness })) ?? 0) - now;
    waits();
    kube.refuse = (call) => {
      if (call === 'put lease dbbackup-orders-db') throw new ApiError(call, 409, 'has changed');
    };
    const rows: number[] = [];
    for (let count = 0; count < 8; count++) rows.push(await again());
    expect(rows).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    kube.refuse = () => {};
    await look({ staleness });
    expect(staleness.size).toBe(0);
  });

  test('counts and tells an outcome only once it stands', async () => {
    putFailedRun();
    kube.refuse = (call) => {
      if (call.startsWith('put status')) throw new ApiError(call, 409, 'has changed');
    };
    await look();
    expect(told).toEqual([]);
    kube.refuse = () => {};
    await look();
    await look();
    expect(told).toEqual(['finished Failed', 'BackupFailed']);
    expect(status()?.consecutiveFailures).toBe(1);
  });
});

describe('a write that goes on failing', () => {
  test.each([500, 503, 429, 404])('with %i is for the queue to wait for', async (code) => {
    refuseJobs(code);
    await expect(look()).rejects.toMatchObject({ status: code });
    expect([told, status()?.run]).toEqual([[], undefined]);
  });

  test('keeps no outcome out of status, which is told once', async () => {
    putFailedRun();
    now += 86_400_000;
    refuseJobs(500);
    for (let count = 0; count < 3; count++) await expect(look()).rejects.toMatchObject({ status: 500 });
    expect(status()?.run?.outcome).toBe('Failed');
    expect(told).toEqual(['finished Failed', 'BackupFailed']);
  });
});

describe('a refusal', () => {
  test('that is followed by a failure stays in status, and is told once', async () => {
    for (const code of [403, 403, 500, 500, 403, 500, 403]) {
      refuseJobs(code);
      await look().catch(() => {});
      expect(condition('BackupHealthy')).toMatchObject({ status: 'False', reason: 'JobRefused' });
    }
    expect(told).toEqual(['JobRefused']);
  });
});

describe('a window whose Job is refused', () => {
  const token = job({ name: 'orders-t-0123456789', uid: 'T', token: 'x', created: '2025-03-27T00:59:00Z' });
  const ended = [1, 2, 3, 4, 5, 6, 7].map((day) =>
    job({
      name: `orders-old-${day}`,
      uid: `old-${day}`,
      slot: `2025-03-0${day}T01:00:00Z`,
      created: `2025-03-0${day}T01:00:00Z`,
      started: `2025-03-0${day}T01:00:10Z`,
      ended: 'Failed',
    }),
  );
  beforeEach(() => {
    const annotated = backup({ metadata: { annotations: { 'dbbackup.io/trigger': 'x' } } });
    const run = claimOf(job({ uid: 'gone' }), { claimedAt: '2025-03-26T01:00:00Z', outcome: 'Succeeded' });
    kube.put('backups', { ...annotated, status: { ...annotated.status, run } });
    refuseJobs(403);
  });

  test('holds up no other Job of its backup: one that waits is launched to its start', async () => {
    kube.put('jobs', token);
    for (let count = 0; count < 3; count++) await look();
    expect(status()?.run).toMatchObject({ token: 'x', jobUID: 'T' });
    expect(kube.jobs.get('shop/orders-t-0123456789')?.spec.suspend).toBe(false);
    expect(condition('BackupHealthy')?.reason).toBe('JobRefused');
  });

  test('keeps no ended Job, which may be what the quota is full of', async () => {
    kube.put('jobs', ...ended);
    await look();
    expect(writes().filter((call) => call.startsWith('delete job'))).toHaveLength(4);
  });

  test('is not asked for without pause while a dead lock is to be given back', async () => {
    const [dead = token] = ended;
    kube.put('jobs', token, dead).put('leases', lease(dead));
    expect(await look()).toBeGreaterThanOrEqual(now + 1000);
    expect(writes()).toContain('put lease dbbackup-orders-db');
  });
});

describe('a waiting window that is made anew and refused', () => {
  const annotations = { 'dbbackup.io/spec-hash': 'of another spec' };
  const waits = job({ created: '2025-03-27T01:00:00Z', annotations });
  const token = (created: string) => job({ name: 'orders-t-0123456789', uid: 'T', token: 'x', created, annotations });

  test.each([
    ['once', []],
    ['also when a token is refused after it', [token('2025-03-27T02:00:00Z')]],
    ['also when a token is refused before it', [token('2025-03-27T00:30:00Z')]],
  ])('is counted as missed, %s', async (_name, others) => {
    kube.put('jobs', waits, ...others);
    await misses(others.length > 0);
  });

  test('is counted once though the cache still shows its Job', async () => {
    kube.put('jobs', waits);
    const late = kube.caches({ jobs: new Map(kube.jobs) });
    late.jobTold(waits);
    await misses(false, { caches: late });
  });
});

async function misses(asked: boolean, change: Partial<World> = {}): Promise<void> {
  const metadata = asked ? { annotations: { 'dbbackup.io/trigger': 'x' } } : {};
  kube.put('backups', backup({ metadata, status: { missedWindows: 2, missedUntil: '2025-03-29T01:00:00Z' } }));
  now = Date.parse('2025-03-29T12:00:00Z');
  refuseJobs(403);
  for (let count = 0; count < 3; count++) await look(change);
  expect(kube.jobs.size).toBe(0);
  expect(status()).toMatchObject({ missedWindows: 3, missedUntil: '2025-03-29T01:00:00Z' });
  expect(told.filter((one) => one === 'WindowMissed')).toHaveLength(1);
}

describe('room under the caps', () => {
  test('that is not there is waited for, in line', async () => {
    kube.put('jobs', job());
    const { seats, caches } = wired(kube, { caps: { maxRunning: 1, maxRunningPerNamespace: 1 }, now: () => now });
    seats.reserve(job({ uid: 'job-2' }));
    const full = { ...settings, maxRunning: 1 };
    // A minute after it was made what it waits for is told.
    expect(await look({ seats, caches, settings: full })).toBe(Date.parse('2025-03-27T01:01:00Z'));
    expect([writes(), seats.nextInLine()]).toEqual([['put status orders'], [key]]);
    seats.free('job-2');
    seats.waits(key, true);
    await look({ seats, caches, settings: full });
    expect([writes(), seats.nextInLine()]).toEqual([['create lease dbbackup-orders-db'], []]);
  });
});
