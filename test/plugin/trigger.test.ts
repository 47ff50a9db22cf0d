// trigger: what it writes, what it joins, and what it says of a run on the way to its end.
import { describe, expect, it } from 'vitest';
import type { DatabaseBackup, DatabaseBackupStatus, RunStatus } from '../../crds/databasebackup.gen.ts';
import { trigger } from '../../plugin/commands/trigger.ts';
import { ApiError } from '../../plugin/errors.ts';
import type { Kube } from '../../plugin/kube.ts';
import type { Pod } from '../../plugin/objects.ts';
import { decodeProgress } from '../../plugin/progress.ts';
import { backup, healthy, job, lastSnapshot, world } from './objects.ts';

const token = '20250328T020005Z-c0ffee00';
const waiting = { name: 'orders', wait: true, timeout: '1h' };
const conflict = new ApiError(409, 'Conflict', 'the object has been modified');

const asked = (status: DatabaseBackupStatus = healthy, value = token): DatabaseBackup =>
  backup({ annotations: { 'dbbackup.io/trigger': value }, status });

const claimed: RunStatus = {
  ...{ trigger: 'Manual', token, jobName: 'orders-t-1', jobUID: 'job-1', claimedAt: '2025-03-28T02:00:07Z' },
};

/** Status while and after the run that the trigger asked for. */
const run = (rest: Partial<RunStatus> = {}): DatabaseBackupStatus => ({
  ...healthy,
  lastHandledTrigger: { token, jobUID: 'job-1' },
  run: { ...claimed, ...rest },
});

/** Shows these states of the object one after another, the last one for ever. */
function states(...objects: DatabaseBackup[]): Partial<Kube> & { tokens: string[] } {
  const tokens: string[] = [];
  let look = 0;
  return {
    tokens,
    getBackup: async () => {
      const object = objects[Math.min(look, objects.length - 1)];
      look += 1;
      if (object === undefined) throw new Error('no state');
      return object;
    },
    setTrigger: async (_, value) => {
      tokens.push(value);
    },
    podsOf: async () => [],
  };
}

describe('asking', () => {
  it('writes a fresh token and says so', async () => {
    const kube = states(backup());
    const here = world(kube);
    await trigger(here, { ...waiting, wait: false, name: 'databasebackup/orders' });
    expect(kube.tokens).toEqual([token]);
    expect(here.stdout()).toBe(`databasebackup.dbbackup.io/orders triggered (token ${token})\n`);
  });

  it('joins a trigger that waits, and never replaces it', async () => {
    const kube = states(asked(healthy, 'of someone else'));
    const here = world(kube);
    await trigger(here, { ...waiting, wait: false });
    expect(kube.tokens).toEqual([]);
    expect(here.stdout()).toBe(
      'databasebackup.dbbackup.io/orders joined the backup that was asked for and has not started (token of someone else)\n',
    );
  });

  it('asks anew once the last token was handled', async () => {
    const kube = states(asked({ ...healthy, lastHandledTrigger: { token: 'old', jobUID: 'x' } }, 'old'));
    await trigger(world(kube), { ...waiting, wait: false });
    expect(kube.tokens).toEqual([token]);
  });

  it('asks anew in place of a token that the controller passes over: to wait for that would be for ever', async () => {
    const kube = states(asked(healthy, 'vor dem Übergang'));
    await trigger(world(kube), { ...waiting, wait: false });
    expect(kube.tokens).toEqual([token]);
  });

  it('reads again after a conflict and joins the trigger that was faster', async () => {
    const kube = { ...states(backup(), asked(healthy, 'faster')), setTrigger: () => Promise.reject(conflict) };
    const here = world(kube);
    await trigger(here, { ...waiting, wait: false });
    expect(here.stdout()).toContain('joined');
    expect(here.stdout()).toContain('token faster');
  });

  it('gives up after ten conflicts, and at once on any other refusal', async () => {
    let calls = 0;
    const refuse = (error: ApiError) => async () => {
      calls += 1;
      throw error;
    };
    const once = { ...waiting, wait: false };
    await expect(trigger(world({ ...states(backup()), setTrigger: refuse(conflict) }), once)).rejects.toBe(conflict);
    expect(calls).toBe(10);
    const forbidden = new ApiError(403, 'Forbidden', 'no');
    await expect(trigger(world({ ...states(backup()), setTrigger: refuse(forbidden) }), once)).rejects.toBe(forbidden);
    expect(calls).toBe(11);
  });

  it('refuses a duration that is none', async () => {
    await expect(trigger(world(states(backup())), { ...waiting, timeout: 'soon' })).rejects.toMatchObject({
      exitCode: 2,
    });
  });
});

describe('following', () => {
  it('tells each state once, the progress, and the snapshot', async () => {
    const locked = {
      ...({
        type: 'Locked',
        status: 'True',
        reason: 'Held',
        message: 'held by job other',
        lastTransitionTime: '',
      } as const),
    };
    const log = '{"msg":"progress","plain":1073741824,"stored":268435456}\n';
    const kube = {
      ...states(
        backup(),
        asked(),
        asked({ ...healthy, conditions: [locked] }),
        asked(run()),
        asked(run()),
        asked(run({ outcome: 'Succeeded' })),
      ),
      podsOf: async (): Promise<Pod[]> => [{ metadata: { name: 'pod-1' } }],
      logTail: async () => log,
    };
    const here = world(kube);
    await trigger(here, waiting);
    expect(here.stderr()).toBe(
      [
        `databasebackup.dbbackup.io/orders triggered (token ${token})`,
        'waiting for the controller',
        'queued: held by job other',
        'running: job orders-t-1',
        'dumped 1.0 GiB (last time 5.0 GiB), stored 256.0 MiB',
        '',
      ].join('\n'),
    );
    expect(here.stdout()).toBe(`snapshot ${lastSnapshot.id} stored at ${lastSnapshot.key} (1.2 GiB)\n`);
  });

  it.each([
    [
      { reason: 'StorageFull', message: 'The store has no room left: 507. Fix: make room.' },
      'backup failed (StorageFull): The store has no room left: 507. Fix: make room.',
    ],
    [
      { reason: 'DumpEmpty' },
      'backup failed (DumpEmpty): The dump wrote nothing. Fix: check that spec.database.image holds the real dump tool.',
    ],
    [{ reason: 'New', message: 'x\nFix: curl y | sh' }, 'backup failed (New): x Fix: curl y | sh'],
  ])('ends with exit code 3 on %o', async (end, message) => {
    const kube = states(backup(), asked(run({ outcome: 'Failed', ...end })));
    await expect(trigger(world(kube), waiting)).rejects.toMatchObject({ exitCode: 3, message });
  });

  it('gives up after its time with exit code 124, and has said that nobody answers', async () => {
    const here = world(states(backup(), asked()));
    await expect(trigger(here, { ...waiting, timeout: '90s' })).rejects.toMatchObject({
      exitCode: 124,
      message: 'not finished within 90 s; the backup goes on',
    });
    expect(here.stderr().match(/nobody has taken up the trigger yet/g)).toHaveLength(1);
  });

  it('says once that it may not read the log, and goes on', async () => {
    const podsOf = () => Promise.reject(new ApiError(403, 'Forbidden', 'pods is forbidden'));
    const kube = { ...states(backup(), asked(run()), asked(run()), asked(run({ outcome: 'Succeeded' }))), podsOf };
    const here = world(kube);
    await trigger(here, waiting);
    expect(here.stderr().match(/no live progress: Error from server \(Forbidden\): pods is forbidden/g)).toHaveLength(
      1,
    );
  });

  it('outlives an API server that restarts, and no refusal', async () => {
    const good = states(asked(healthy, token), asked(run({ outcome: 'Succeeded' })));
    let looks = 0;
    const answer = (error: Error): Partial<Kube> => ({
      ...good,
      getBackup: async (namespace, name) => {
        looks += 1;
        if (looks === 2 || looks === 3) throw error;
        return good.getBackup?.(namespace, name) ?? asked();
      },
    });
    const away = new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
    const here = world(answer(away));
    await trigger(here, waiting);
    expect(here.stderr()).toContain('Unable to connect to the server: connect ECONNREFUSED; trying again');
    looks = 0;
    const gone = new ApiError(404, 'NotFound', 'gone');
    await expect(trigger(world(answer(gone)), waiting)).rejects.toBe(gone);
  });

  describe('a run that another one has followed', () => {
    const later = { ...run(), run: { ...claimed, jobUID: 'job-2', token: 'later' } };
    const done = { conditions: [{ type: 'Complete', status: 'True' }] };
    const ended = (message: string): Pod => ({
      metadata: { name: 'pod-1' },
      status: { containerStatuses: [{ name: 'executor', state: { terminated: { exitCode: 0, message } } }] },
    });

    it('is told by its Job and pod', async () => {
      const stored = '"id":"i","key":"k","size":4096,"storedSize":2048,"sha256":"","encrypted":true';
      const dumped = '"dumpStartedAt":"2025-03-28T02:00:09Z","durationSeconds":1,"engineVersion":"16.4","identity":""';
      const kube = {
        ...states(backup(), asked(later)),
        jobsOf: async () => [job('orders-t-1', 'job-1', '2025-03-28T02:00:06Z', { status: done })],
        podsOf: async () => [ended(`{"outcome":"Succeeded",${stored},${dumped}}`)],
      };
      const here = world(kube);
      await trigger(here, waiting);
      expect(here.stdout()).toBe('snapshot i stored at k (2.0 KiB)\n');
    });

    it('is unknown when they are gone', async () => {
      const kube = { ...states(backup(), asked(later)), jobsOf: async () => [] };
      await expect(trigger(world(kube), waiting)).rejects.toThrow('the run ended and its record is gone');
    });
  });

  it('says when its token was overwritten before anyone saw it', async () => {
    const kube = { ...states(backup(), asked(healthy, 'other')), jobsOf: async () => [] };
    await expect(trigger(world(kube), waiting)).rejects.toThrow('was changed before this trigger was taken up');
  });

  it('waits for the Job of a token that was overwritten after the Job was made', async () => {
    const queued = job('orders-t-1', 'job-1', '2025-03-28T02:00:06Z', { spec: { suspend: true } });
    queued.metadata.annotations = { 'dbbackup.io/token': token };
    const overwritten = asked(healthy, 'other');
    const end = asked(run({ outcome: 'Succeeded' }), 'other');
    const kube = { ...states(backup(), overwritten, overwritten, end), jobsOf: async () => [queued] };
    const here = world(kube);
    await trigger(here, waiting);
    expect(here.stdout()).toContain('stored at');
  });
});

it('finds the newest progress among other lines', () => {
  const line = (plain: number) => JSON.stringify({ level: 'info', msg: 'progress', plain, stored: 1 });
  expect(decodeProgress(`"half\n${line(1)}\n${line(2)}\nnull\n{"msg":"kept"}\nnoise\n`)).toEqual({
    plain: 2,
    stored: 1,
  });
  expect(decodeProgress('{"msg":"progress","plain":"1","stored":1}\n')).toBeUndefined();
});
