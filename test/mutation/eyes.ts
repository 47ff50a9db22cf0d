// What a test sees of an API server: everything as it changes, so that many objects are waited for without asking for each again and again.
import { pino } from 'pino';
import type { WatchedKind } from '../../controller/kube.ts';
import type { Backup, Job, Lease, Meta, Pod } from '../../controller/objects.ts';
import type { Transport } from '../../controller/transport.ts';
import { Reflector } from '../../controller/watch.ts';

export class Eyes {
  readonly backups: Reflector<Backup>;
  readonly jobs: Reflector<Job>;
  readonly pods: Reflector<Pod>;
  readonly leases: Reflector<Lease>;
  private readonly waiting = new Set<() => void>();

  constructor(transport: Transport) {
    const follow = <T extends { metadata: Meta }>(name: WatchedKind['name'], path: string): Reflector<T> => {
      const told = (): void => {
        for (const look of this.waiting) look();
      };
      const seen = new Reflector<T>(transport, { name, path }, pino({ level: 'silent' }), told, {
        patience: { spread: 0 },
      });
      void seen.run();
      return seen;
    };
    this.backups = follow('backups', '/apis/dbbackup.io/v1alpha1/databasebackups');
    this.jobs = follow('jobs', '/apis/batch/v1/jobs');
    this.pods = follow('pods', '/api/v1/pods');
    this.leases = follow('leases', '/apis/coordination.k8s.io/v1/leases');
  }

  async open(): Promise<void> {
    await Promise.all([this.backups, this.jobs, this.pods, this.leases].map(({ synced }) => synced));
  }

  close(): void {
    for (const one of [this.backups, this.jobs, this.pods, this.leases]) one.stop();
  }

  jobsIn(namespace: string): Job[] {
    return [...this.jobs.items.values()].filter(({ metadata }) => metadata.namespace === namespace);
  }

  /** @param what ends the sentence "waited for ...: " in the error */
  until<T>(what: string, look: () => T | undefined | false, seconds = 240): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.waiting.delete(again);
      };
      const again = (): void => {
        try {
          const found = look();
          if (found === undefined || found === false) return;
          end();
          resolve(found);
        } catch (error) {
          end();
          reject(error);
        }
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`waited ${seconds} s for: ${what}`));
      }, seconds * 1000);
      this.waiting.add(again);
      again();
    });
  }
}
