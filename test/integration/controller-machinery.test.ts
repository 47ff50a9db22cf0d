// The controller's caches and its leadership on a real API server that is killed, forgets its history, falls silent or is slow.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Cached } from '../../controller/keep.ts';
import type { WatchedKind } from '../../controller/kube.ts';
import type { Patience } from '../../controller/patience.ts';
import { Transport } from '../../controller/transport.ts';
import { Reflector } from '../../controller/watch.ts';
import { type Cluster, startCluster } from '../rig/cluster/cluster.ts';
import { ownedRig, stopOwnedRig } from '../rig/owned.ts';
import { withFreePort } from '../rig/servers/place.ts';
import { waitFor } from '../wait.ts';
import { createDueBackup, createNamespace, installCrd, jobsOf, type World, world } from './controller-world.ts';
import { compact, type Gate, killApiServer, type Passage, startGate, startLine } from './machinery-faults.ts';
import { type Program, startProgram } from './program.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
const rig = ownedRig('machinery');
let cluster: Cluster;
let direct: World;
let gate: Gate;
let folder: string;

beforeAll(async () => {
  // The API server is killed here: never that of somebody's own cluster.
  cluster = await startCluster({ name: rig, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-machinery-'));
});
afterAll(async () => {
  await stopOwnedRig(rig, log);
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  gate = await startGate(cluster.kubeconfig);
});
afterEach(() => gate.stop());

/** Small objects of a namespace of their own, and a cache of them. */
class Shelf {
  readonly told: string[] = [];
  readonly warnings: string[] = [];
  readonly reflector: Reflector<Cached>;
  private readonly path: string;

  constructor(namespace: string, transport: Transport, patience: Partial<Patience> = {}) {
    this.path = `/api/v1/namespaces/${namespace}/configmaps`;
    const kind: WatchedKind = { name: 'jobs', path: this.path, labelSelector: 'shelf=yes' };
    const warnings = pino({}, { write: (line: string) => void this.warnings.push(line) });
    const changed = ({ metadata }: Cached): void => void this.told.push(metadata.name);
    this.reflector = new Reflector<Cached>(transport, kind, warnings, changed, { patience });
    void this.reflector.run();
  }

  async put(name: string, value: string): Promise<void> {
    const body = { metadata: { name, labels: { shelf: 'yes' } }, data: { value } };
    const existing = await this.names();
    if (existing.has(name)) await direct.transport.call({ method: 'PUT', path: `${this.path}/${name}`, body });
    else await direct.transport.call({ method: 'POST', path: this.path, body });
  }

  async remove(name: string): Promise<void> {
    await direct.transport.call({ method: 'DELETE', path: `${this.path}/${name}` });
  }

  /** What the server holds: name and version. */
  async names(): Promise<Map<string, string>> {
    const query = { labelSelector: 'shelf=yes' };
    const list = await direct.transport.call<{ items: Cached[] }>({ method: 'GET', path: this.path, query });
    return new Map(list.items.map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
  }

  async isTrue(): Promise<void> {
    const shown = (map: Map<string, string>): string => JSON.stringify([...map].sort());
    await waitFor('the cache shows what the server holds', async () => {
      const cached = [...this.reflector.items.values()].map(({ metadata }) => [
        metadata.name,
        metadata.resourceVersion,
      ]);
      return shown(new Map(cached as [string, string][])) === shown(await this.names());
    });
  }
}

const lists = (): number => gate.passages.filter(({ url }) => url.searchParams.has('limit')).length;
const watches = (): number => gate.passages.filter(({ url }) => url.searchParams.has('watch')).length;

/** Holds the next request for which it is asked; gives how to let it go. */
function holdNext(which: (url: URL) => boolean): { held: () => boolean; release: () => void } {
  let release: (() => void) | undefined;
  gate.before = async ({ url }) => {
    if (release === undefined && which(url)) await new Promise<void>((resolve) => (release = resolve));
  };
  return { held: () => release !== undefined, release: () => release?.() };
}

describe('a cache', () => {
  it('whose watch would go on from a history that is forgotten lists again, and tells what went meanwhile', async () => {
    await createNamespace(direct, 'compacted');
    const shelf = new Shelf('compacted', new Transport(gate.config));
    try {
      await shelf.reflector.synced;
      for (const name of ['stays', 'changes', 'goes']) await shelf.put(name, 'first');
      await shelf.isTrue();
      const watch = holdNext((url) => url.searchParams.has('watch'));
      gate.endWatches();
      await waitFor('the watch is opened again', async () => watch.held());
      await shelf.put('changes', 'second');
      await shelf.put('comes', 'second');
      await shelf.remove('goes');
      const restart = await killApiServer(rig);
      await restart();
      await compact(rig);
      shelf.told.length = 0;
      watch.release();
      await shelf.isTrue();
      expect(shelf.warnings.join()).toContain('410');
      expect(shelf.told).toContain('goes');
      expect(lists()).toBeLessThanOrEqual(3);
    } finally {
      shelf.reflector.stop();
    }
  });

  it('whose list is older than the history half way begins the list again', async () => {
    await createNamespace(direct, 'paged');
    const paths = Array.from({ length: 600 }, (_, index) => `object-${index}`);
    const body = (name: string): object => ({ metadata: { name, labels: { shelf: 'yes' } } });
    const path = '/api/v1/namespaces/paged/configmaps';
    for (let from = 0; from < paths.length; from += 50) {
      const some = paths.slice(from, from + 50);
      await Promise.all(some.map((name) => direct.transport.call({ method: 'POST', path, body: body(name) })));
    }
    const second = holdNext((url) => url.searchParams.has('continue'));
    const shelf = new Shelf('paged', new Transport(gate.config));
    try {
      await waitFor('the second page is asked for', async () => second.held());
      await shelf.remove('object-0');
      const restart = await killApiServer(rig);
      await restart();
      await compact(rig);
      second.release();
      await shelf.isTrue();
      expect(gate.passages.map(({ status }) => status)).toContain(410);
      expect(shelf.reflector.items.size).toBe(599);
      expect(lists()).toBeLessThanOrEqual(6);
    } finally {
      shelf.reflector.stop();
    }
  });

  it('outlives a server that is killed and comes back, without hammering it', async () => {
    await createNamespace(direct, 'killed');
    const shelf = new Shelf('killed', new Transport(gate.config));
    try {
      await shelf.put('before', 'x');
      await shelf.isTrue();
      const restart = await killApiServer(rig);
      const asked = lists() + watches();
      await waitFor('it asks in vain', async () => lists() + watches() >= asked + 2);
      await restart();
      await shelf.put('after', 'x');
      await shelf.isTrue();
      // 0.4 to 0.8 s after the first failure and ever longer: a dozen would be more than a minute.
      expect(lists() + watches() - asked).toBeLessThan(12);
    } finally {
      shelf.reflector.stop();
    }
  });

  it('notices a watch whose line went dead in silence, and a dead line beside it', async () => {
    await createNamespace(direct, 'silent');
    const line = await startLine(cluster.kubeconfig);
    const shelf = new Shelf('silent', new Transport(line.config), { silence: 15_000 });
    try {
      await shelf.put('before', 'x');
      await shelf.isTrue();
      line.freeze();
      const opened = line.opened();
      await shelf.put('meanwhile', 'x');
      await shelf.remove('before');
      await shelf.isTrue();
      expect(shelf.warnings.join()).toContain('the connection is dead');
      expect(line.opened() - opened).toBeLessThan(5);
    } finally {
      shelf.reflector.stop();
      await line.stop();
    }
  });
});

describe('a leader whose renewals are slow', () => {
  const lease = async () => (await direct.kube.getLease('slow', 'dbbackup-controller'))?.spec?.holderIdentity;
  const times = (program: Program, text: string): number => program.output().split(text).length - 1;

  interface Replica {
    program: Program;
    leads(): Promise<boolean>;
  }

  const start = (identity: string, kubeconfig: string): Promise<Replica> =>
    withFreePort((port) => startAt(port, identity, kubeconfig));

  async function startAt(port: number, identity: string, kubeconfig: string): Promise<Replica> {
    const args = ['--executor-image', 'executor:test', '--namespace', 'slow', '--health-port', '0'];
    const program = startProgram(
      'controller/main.ts',
      [...args, '--metrics-port', String(port), '--identity', identity],
      { KUBECONFIG: kubeconfig },
    );
    await program.printed('caches are filled');
    const leads = async (): Promise<boolean> =>
      /^dbbackup_leader 1$/m.test(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
    return { program, leads };
  }

  it('steps down before another leads, leaves running Jobs alone, and waits for its next turn in the same process', async () => {
    await createNamespace(direct, 'slow');
    await gate.kubeconfig(join(folder, 'gate'));
    const first = await start('first', join(folder, 'gate'));
    await first.program.printed('"leading"');
    const second = await start('second', cluster.kubeconfig);
    try {
      await createDueBackup(direct, 'slow', 'orders');
      const job = await waitFor('a Job is started', async () =>
        (await jobsOf(direct, 'slow')).find(({ spec }) => spec.suspend === false),
      );
      const renews = ({ method, url }: Passage): boolean =>
        method === 'PUT' && url.pathname.endsWith('/leases/dbbackup-controller');
      gate.before = async (passage) => {
        if (renews(passage)) await sleep(20_000);
      };
      const seen = { both: 0, samples: 0 };
      await waitFor('the other leads', async () => {
        const [one, other] = await Promise.all([first.leads(), second.leads()]);
        seen.samples += 1;
        if (one && other) seen.both += 1;
        return other;
      });
      expect(seen).toEqual({ both: 0, samples: expect.any(Number) });
      expect(await first.leads()).toBe(false);
      expect(await lease()).toBe('second');
      // Those that were on their way all the time come to a Lease that has changed.
      const refused = (): Passage[] => gate.passages.filter((one) => renews(one) && one.status === 409);
      await waitFor('a late renewal is refused', async () => refused().length > 0);
      expect(await lease()).toBe('second');
      expect((await jobsOf(direct, 'slow')).map(({ metadata, spec }) => [metadata.uid, spec.suspend])).toEqual([
        [job.metadata.uid, false],
      ]);
      gate.before = async () => undefined;
      expect(await second.program.stop()).toBe(0);
      await waitFor('the first leads again', first.leads);
      expect(await lease()).toBe('first');
      expect(first.program.child.exitCode).toBe(null);
      expect(times(first.program, '"leading"')).toBe(2);
      expect(await first.program.stop()).toBe(0);
      expect(await lease()).toBe('');
    } finally {
      await Promise.all([first.program.kill(), second.program.kill()]);
    }
  });
});
