// describe as transcripts: objects in, the whole screen out.
import { expect, it } from 'vitest';
import { describeBackup } from '../../plugin/commands/describe.ts';
import { ApiError } from '../../plugin/errors.ts';
import { failedContainer } from '../../plugin/evidence.ts';
import type { Kube } from '../../plugin/kube.ts';
import type { Job, Pod } from '../../plugin/objects.ts';
import { backup, healthy, job, type Overrides, world } from './objects.ts';

const forbidden = (what: string) => () =>
  Promise.reject(new ApiError(403, 'Forbidden', `${what} is forbidden: User "dev" cannot list resource`));

async function screen(overrides: Overrides, kube: Partial<Kube> = {}, zone = 'Europe/Berlin'): Promise<string> {
  const nothing: Partial<Kube> = { jobsOf: async () => [], getLease: async () => undefined, podsOf: async () => [] };
  const here = world({ ...nothing, ...kube, getBackup: async () => backup(overrides) });
  await describeBackup({ ...here, zone }, 'dbb/orders');
  expect(here.stderr()).toBe('');
  return `\n${here.stdout()}`;
}

const ended = (type: string, time: string): NonNullable<Job['status']> => ({
  startTime: '2025-03-28T00:00:01Z',
  conditions: [{ type, status: 'True', lastTransitionTime: time }],
});

it('a healthy backup', async () => {
  const jobs = ['21', '22', '23', '24', '25', '26', '27'].map((day) =>
    job(`orders-202503${day}000000`, `uid-${day}`, `2025-03-${day}T00:00:01Z`, {
      status: {
        ...ended('Complete', ''),
        startTime: `2025-03-${day}T00:00:01Z`,
        completionTime: `2025-03-${day}T00:03:07Z`,
      },
    }),
  );
  const shown = await screen({ status: { ...healthy, snapshotCount: 12 } }, { jobsOf: async () => jobs });
  expect(shown).toMatchInlineSnapshot(`
    "
    Backups work: the newest restorable snapshot is 26 h old.
    Next:  kubectl dbbackup restore-locate orders -n shop

    Backup:      shop/orders
    Schedule:    0 1 * * * in Europe/Berlin, next 2025-03-28 00:00:00 UTC (2025-03-28 01:00:00 Europe/Berlin)
    Database:    orders on orders-db:5432 (postgres, postgres:16)
    Storage:     s3://backups/postgres/daily/shop/orders-db/
    Encryption:  age, 1 recipient
    Retention:   the newest 3 and all of the last 336h
    Lock:        dbbackup-orders-db: free

    Runs:
      JOB                     TRIGGER    STARTED (UTC)         STARTED (Europe/Berlin)   TOOK   RESULT      REASON
      orders-20250327000000   Schedule   2025-03-27 00:00:01   2025-03-27 01:00:01       3m     Succeeded   <none>
      orders-20250326000000   Schedule   2025-03-26 00:00:01   2025-03-26 01:00:01       3m     Succeeded   <none>
      orders-20250325000000   Schedule   2025-03-25 00:00:01   2025-03-25 01:00:01       3m     Succeeded   <none>
      orders-20250324000000   Schedule   2025-03-24 00:00:01   2025-03-24 01:00:01       3m     Succeeded   <none>
      orders-20250323000000   Schedule   2025-03-23 00:00:01   2025-03-23 01:00:01       3m     Succeeded   <none>

    Snapshots (2 of 12):
      SNAPSHOT                    TAKEN (UTC)           TAKEN (Europe/Berlin)   SIZE      AGE
      20250327T000000Z-1a2b3c4d   2025-03-27 00:00:05   2025-03-27 01:00:05     1.2 GiB   26h
      20250326T000000Z-1a2b5e6f   2025-03-26 00:00:00   2025-03-26 01:00:00     1.1 GiB   2d
    "
  `);
});

it('one that nobody has looked at', async () => {
  expect(await screen({ status: null }, {}, 'UTC')).toMatchInlineSnapshot(`
    "
    The controller has not looked at this backup yet: nothing is restorable yet.
    Fix:   wait a few seconds; if this stays, check that the dbbackup controller is running
    Next:  kubectl get databasebackup orders -n shop --watch

    Backup:      shop/orders
    Schedule:    0 1 * * * in Europe/Berlin
    Database:    orders on orders-db:5432 (postgres, postgres:16)
    Storage:     s3://backups/postgres/daily/shop/orders-db/
    Encryption:  age, 1 recipient
    Retention:   the newest 3 and all of the last 336h
    Lock:        dbbackup-orders-db: free

    Runs: none

    Snapshots: none
    "
  `);
});

it('a failed one, with the log of what failed and the lock that is held', async () => {
  const failed: Pod = {
    metadata: { name: 'orders-20250328000000-abcde' },
    status: {
      initContainerStatuses: [{ name: 'prepare', state: { terminated: { exitCode: 0 } } }],
      containerStatuses: [
        { name: 'dump', state: { terminated: { exitCode: 141 } } },
        { name: 'executor', state: { terminated: { exitCode: 21 } } },
      ],
    },
  };
  const shown = await screen(
    {
      spec: {
        storage: { pvc: { claimName: 'backups', subPath: 'db' } },
        encryption: { none: {} },
        retention: { keepLast: 3 },
      },
      status: {
        ...healthy,
        ...{ phase: 'Failed', consecutiveFailures: 2, failureReason: 'StorageFull' },
        failureMessage: 'The store has no room left: 507. Fix: make room, raise the quota or keep fewer snapshots.',
        run: {
          ...{ trigger: 'Schedule', jobName: 'orders-20250328000000', jobUID: 'uid-28' },
          ...{ claimedAt: '2025-03-28T00:00:01Z', outcome: 'Failed', reason: 'StorageFull' },
        },
      },
    },
    {
      jobsOf: async () => [
        job('orders-20250328000000', 'uid-28', '2025-03-28T00:00:01Z', {
          status: ended('Failed', '2025-03-28T00:01:01Z'),
        }),
        job('orders-t-12', 'uid-29', '2025-03-28T01:00:00Z', { spec: { suspend: true }, status: {} }),
      ],
      podsOf: async () => [failed],
      logTail: async (_namespace, pod, container) => `${pod} ${container}\nno room\u001b[2J\r\n`,
      getLease: async (_namespace, name) => ({
        metadata: { name },
        spec: { holderIdentity: 'someone', acquireTime: '2025-03-28T01:30:05.000000Z' },
      }),
    },
  );
  expect(shown).toMatchInlineSnapshot(`
    "
    The last 2 backups failed (StorageFull): the newest restorable snapshot is 26 h old.
    Message:  The store has no room left: 507.
    Fix:      make room, raise the quota or keep fewer snapshots
    Next:     kubectl dbbackup trigger orders --wait -n shop

    Backup:      shop/orders
    Schedule:    0 1 * * * in Europe/Berlin, next 2025-03-28 00:00:00 UTC (2025-03-28 01:00:00 Europe/Berlin)
    Database:    orders on orders-db:5432 (postgres, postgres:16)
    Storage:     claim backups, folder db/shop/orders-db/
    Encryption:  none
    Retention:   the newest 3
    Lock:        dbbackup-orders-db: held by someone, which is none of our Jobs, for 30 min

    Runs:
      JOB                     TRIGGER    STARTED (UTC)         STARTED (Europe/Berlin)   TOOK     RESULT   REASON
      orders-t-12             Schedule   <none>                <none>                    <none>   Queued   <none>
      orders-20250328000000   Schedule   2025-03-28 00:00:01   2025-03-28 01:00:01       60s      Failed   StorageFull

    Snapshots (2 of 2):
      SNAPSHOT                    TAKEN (UTC)           TAKEN (Europe/Berlin)   SIZE      AGE
      20250327T000000Z-1a2b3c4d   2025-03-27 00:00:05   2025-03-27 01:00:05     1.2 GiB   26h
      20250326T000000Z-1a2b5e6f   2025-03-26 00:00:00   2025-03-26 01:00:00     1.1 GiB   2d

    Log of container executor in pod orders-20250328000000-abcde, its end:
      | orders-20250328000000-abcde executor
      | no room\\x1b[2J
    "
  `);
});

it('what may not be read is said in the words of the server', async () => {
  const shown = await screen({}, { jobsOf: forbidden('jobs.batch'), getLease: forbidden('leases') }, 'UTC');
  expect(shown).toContain(
    'Lock:        dbbackup-orders-db: cannot be read: leases is forbidden: User "dev" cannot list resource\n',
  );
  expect(shown).toContain('\nRuns: cannot be read: jobs.batch is forbidden: User "dev" cannot list resource\n');
});

it('a lock of ours names its Job', async () => {
  const getLease: Kube['getLease'] = async (_namespace, name) => ({
    metadata: { name, annotations: { 'dbbackup.io/job': 'orders-t-12', 'dbbackup.io/job-uid': 'uid-29' } },
    spec: { holderIdentity: 'uid-29', acquireTime: '2025-03-28T01:59:05.000000Z' },
  });
  expect(await screen({}, { getLease })).toContain('dbbackup-orders-db: held by job orders-t-12 for 60 s\n');
});

it('hostile text moves nothing and starts no line', async () => {
  const evil = '\u001b[1A\u001b[2KBackups work.\nNext: curl x | sh';
  const shown = await screen({
    status: { ...healthy, consecutiveFailures: 1, failureReason: evil, failureMessage: evil },
  });
  for (const sign of ['\u001b', '\nNext: curl']) expect(shown).not.toContain(sign);
  expect(shown).toContain('(\\x1b[1A\\x1b[2KBackups work. Next: curl x | sh)');
});

it('the container that stands for the reason is the cause, not the first that broke', () => {
  const pod = (...codes: [string, number][]): Pod => ({
    metadata: { name: 'p' },
    status: { containerStatuses: codes.map(([name, exitCode]) => ({ name, state: { terminated: { exitCode } } })) },
  });
  expect(failedContainer(pod(['dump', 141], ['executor', 21]), 'StorageFull')).toBe('executor');
  expect(failedContainer(pod(['dump', 141], ['executor', 1]), 'StorageFull')).toBe('dump');
  expect(failedContainer(pod(['dump', 0]), undefined)).toBeUndefined();
});
