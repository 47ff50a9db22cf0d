// All that happens to backups, Jobs, pods and locks on an API server, and waiting for something to happen.
import type { Backup, Job, Lease, Pod } from '../../controller/objects.ts';
import { group, plural, version } from '../../crds/rules/names.ts';
import { Chronicle } from '../rig/faults/chronicle.ts';
import { waitFor } from '../wait.ts';
import type { World } from './controller-world.ts';

export class History {
  readonly backups: Chronicle<Backup>;
  readonly jobs: Chronicle<Job>;
  readonly pods: Chronicle<Pod>;
  readonly leases: Chronicle<Lease>;
  private readonly world: World;
  /** Events, by namespace. */
  private readonly counts = new Map<string, number>();
  /** Who waits, by the namespace it waits for. */
  private readonly waiting = new Map<() => void, string>();

  constructor(world: World) {
    this.world = world;
    const changed = ({ metadata }: Backup | Job | Pod | Lease): void => {
      this.counts.set(metadata.namespace, (this.counts.get(metadata.namespace) ?? 0) + 1);
      for (const [look, namespace] of this.waiting) if (metadata.namespace === namespace) look();
    };
    const { transport } = world;
    this.backups = new Chronicle<Backup>(transport, `/apis/${group}/${version}/${plural}`, small, changed);
    this.jobs = new Chronicle<Job>(transport, '/apis/batch/v1/jobs', smallJob, changed);
    this.pods = new Chronicle<Pod>(transport, '/api/v1/pods', smallPod, changed);
    this.leases = new Chronicle<Lease>(transport, '/apis/coordination.k8s.io/v1/leases', small, changed);
  }

  private get all(): Chronicle<Backup | Job | Pod | Lease>[] {
    return [this.backups, this.jobs, this.pods, this.leases] as Chronicle<Backup | Job | Pod | Lease>[];
  }

  async start(): Promise<void> {
    await Promise.all(this.all.map((one) => one.start()));
  }

  stop(): void {
    for (const one of this.all) one.stop();
  }

  /** Events of a namespace so far, of all kinds: as long as they come something goes on. Throws where one may have been missed. */
  events(namespace: string): number {
    for (const one of this.all) one.check();
    return this.counts.get(namespace) ?? 0;
  }

  /** Looks after each event of the namespace, and now and then for what no watch tells of. */
  async until<T>(namespace: string, what: string, ask: () => T | undefined | false, seconds = 120): Promise<T> {
    const now = ask();
    if (now !== undefined && now !== false) return now;
    return await new Promise<T>((resolve, reject) => {
      const end = (): void => {
        this.waiting.delete(look);
        clearInterval(timer);
        clearTimeout(limit);
      };
      const look = (): void => {
        try {
          for (const one of this.all) one.check();
          const answer = ask();
          if (answer === undefined || answer === false) return;
          end();
          resolve(answer);
        } catch (error) {
          end();
          reject(error);
        }
      };
      const timer = setInterval(look, 200);
      const limit = setTimeout(() => {
        end();
        reject(new Error(`${namespace}: waited ${seconds} s for: ${what}`));
      }, seconds * 1000);
      this.waiting.set(look, namespace);
    });
  }

  /** Resolves when everything that has happened until now is in here. */
  async complete(namespace: string): Promise<void> {
    const { transport, kube } = this.world;
    const name = `last-word-${Date.now()}`;
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'none', image: 'none' }] } };
    await kube.createJob(namespace, { metadata: { name }, spec: { suspend: true, template } });
    const path = `/api/v1/namespaces/${namespace}/pods`;
    await waitFor('a pod can be made', async () =>
      transport.call({ method: 'POST', path, body: { metadata: { name }, spec: template.spec } }),
    );
    await kube.createLease(namespace, { metadata: { name } });
    const key = `${namespace}/${name}`;
    await this.until(namespace, 'the watches are up to date', () =>
      [this.jobs, this.pods, this.leases].every(({ items }) => items.has(key)),
    );
  }
}

function small<T extends Backup | Job | Pod | Lease>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
  return { ...object, metadata };
}

/** The dump's image is all that is asked of a template. */
function smallJob(job: Job): Job {
  const { suspend, activeDeadlineSeconds, template } = job.spec;
  const found = template?.spec?.containers?.map(({ name, image }) => ({
    name,
    ...(image === undefined ? {} : { image }),
  }));
  const spec = {
    ...(suspend === undefined ? {} : { suspend }),
    ...(activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds }),
    template: { spec: { containers: found ?? [] } },
  };
  return { ...small(job), spec };
}

const smallPod = (pod: Pod): Pod => ({ ...small(pod), spec: {} });
