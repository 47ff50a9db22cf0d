// Events on a real API server: it takes them as they are, repeats are one object that counts, and kubectl's readers find them.
import { beforeAll, describe, expect, it } from 'vitest';
import { type EventSink, Events, type Happening, type Regarding } from '../../controller/events.ts';
import type { Backup } from '../../controller/objects.ts';
import { cluster } from './cluster.ts';
import { backupObject, createNamespace, installCrd, type World, world } from './controller-world.ts';

interface StoredEvent {
  metadata: { name: string };
  eventTime: string;
  reason: string;
  type: string;
  note: string;
  reportingController: string;
  regarding: { kind: string; name: string; uid: string };
  series?: { count: number; lastObservedTime: string };
}

const namespace = 'events';
const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
let direct: World;
let events: Events;
let dropped: number;

beforeAll(async () => {
  direct = world((await cluster()).kubeconfig);
  await installCrd(direct);
  await createNamespace(direct, namespace);
  const { transport, kube } = direct;
  const sink: EventSink = {
    createEvent: (where, event) => kube.createEvent(where, event),
    patchEvent: async (where, name, body) => {
      await transport.call({
        method: 'PATCH',
        path: `/apis/events.k8s.io/v1/namespaces/${where}/events/${name}`,
        body,
      });
    },
  };
  dropped = 0;
  const count = () => {
    dropped += 1;
  };
  events = new Events(sink, { instance: 'dbbackup-controller-7f-abc', now: () => new Date(), dropped: count });
});

async function backup(name: string): Promise<Regarding> {
  const path = `/apis/dbbackup.io/v1alpha1/namespaces/${namespace}/databasebackups`;
  return direct.transport.call<Backup>({ method: 'POST', path, body: backupObject(namespace, name) });
}

/** As `kubectl events --for databasebackup/NAME` asks. */
async function told(name: string): Promise<StoredEvent[]> {
  const query = { fieldSelector: `regarding.name=${name},regarding.kind=DatabaseBackup` };
  return (await direct.transport.call<{ items: StoredEvent[] }>({ method: 'GET', path, query })).items;
}

const failed: Happening = {
  type: 'Warning',
  reason: 'BackupFailed',
  action: 'Backup',
  note: 'StorageFull: The store has no room left. Fix: make room.',
};

describe('events', () => {
  it('are taken by the API server with every field', async () => {
    const orders = await backup('one');
    await events.record(orders, failed);
    const [event, ...others] = await told('one');
    expect(others).toEqual([]);
    expect(event).toMatchObject({
      ...failed,
      eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
      reportingController: 'dbbackup.io/controller',
      reportingInstance: 'dbbackup-controller-7f-abc',
      regarding: { kind: 'DatabaseBackup', name: 'one', uid: orders.metadata.uid },
    });
    expect(event?.series).toBeUndefined();
  });

  it('that repeat are one object whose count goes up', async () => {
    const orders = await backup('many');
    const counts: unknown[] = [];
    for (let at = 0; at < 4; at++) {
      await events.record(orders, failed);
      const [event, ...others] = await told('many');
      expect(others).toEqual([]);
      counts.push(event?.series?.count);
    }
    expect(counts).toEqual([undefined, 2, 3, 4]);
  });

  it('show to readers of the older API, with their count', async () => {
    await events.record(await backup('older'), failed);
    const query = { fieldSelector: 'involvedObject.name=many' };
    const older = await direct.transport.call<{ items: { message: string; series: { count: number } }[] }>({
      method: 'GET',
      path: `/api/v1/namespaces/${namespace}/events`,
      query,
    });
    expect(older.items).toMatchObject([{ message: failed.note, series: { count: 4 } }]);
  });

  it('that were deleted meanwhile are made again', async () => {
    const orders = await backup('gone');
    await events.record(orders, failed);
    const [first] = await told('gone');
    await direct.transport.call({ method: 'DELETE', path: `${path}/${first?.metadata.name}` });
    await events.record(orders, failed);
    expect(await told('gone')).toMatchObject([{ note: failed.note, series: { count: 2 } }]);
  });

  it('with a note at the limit in many bytes a character are taken', async () => {
    await events.record(await backup('long'), { ...failed, note: '数据库'.repeat(1000) });
    expect((await told('long')).map(({ note }) => Buffer.byteLength(note))).toEqual([1023]);
  });

  it('in numbers end at the allowance of their object', async () => {
    const orders = await backup('storm');
    const before = dropped;
    await Promise.all(Array.from({ length: 90 }, (_, at) => events.record(orders, { ...failed, note: `look ${at}` })));
    expect([(await told('storm')).length, dropped - before]).toEqual([25, 65]);
  });

  it('of a namespace that does not exist are counted and trouble nobody', async () => {
    const before = dropped;
    const nowhere = { ...(await backup('nowhere')), metadata: { name: 'a', namespace: 'no-such', uid: 'b' } };
    await events.record(nowhere, failed);
    expect(dropped - before).toBe(1);
  });
});
