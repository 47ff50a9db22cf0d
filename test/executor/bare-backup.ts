// Backups inside the test's own process, against a real S3 server behind the proxy: the executor's real steps, a real FIFO, and a dump that
// the test plays. For faults that are tried hundreds of times.
import { closeSync, constants, openSync } from 'node:fs';
import { open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Result, S3Task, Task } from '../../crds/rules/contract.ts';
import { backup } from '../../executor/backup.ts';
import { runFile } from '../../executor/exchange.ts';
import type { Run } from '../../executor/run.ts';
import { openS3 } from '../../executor/storage/s3.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { run as command } from '../rig/command.ts';
import { startVersitygw, type Versitygw } from '../rig/servers/versitygw.ts';
import { archive, row } from './archive.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';
import { type Request, type S3Proxy, startS3Proxy } from './s3-proxy.ts';

const log = (line: string) => console.error(line);

export const isPart = ({ path }: Request): boolean => path.includes('partNumber=');
export const isDelete = ({ method, path }: Request): boolean => method === 'DELETE' && !path.includes('uploadId=');
export const isList = ({ path }: Request): boolean => path.includes('list-type=2');
export const isManifest = ({ path }: Request): boolean => path.split('?')[0]?.endsWith('.snap.json') ?? false;

/** An archive of about so many bytes. */
export function archiveOf(bytes: number): Buffer {
  const rows = Buffer.concat(Array.from({ length: 600 }, (_, n) => row(n)));
  return archive([{ id: 1, rows: Array.from({ length: Math.ceil(bytes / rows.length) }, () => rows) }]);
}

export interface Store {
  s3: Versitygw;
  proxy: S3Proxy;
  /** One backup's place, which no other test uses. */
  place(over?: Partial<Task>): BarePlace;
  stop(): Promise<void>;
}

export async function startStore(): Promise<Store> {
  const s3 = await startVersitygw({ log });
  await s3.createBucket('backups');
  const proxy = await startS3Proxy(s3.endpoint);
  const places: BarePlace[] = [];
  const place = (over: Partial<Task> = {}): BarePlace => {
    const one = new BarePlace(s3, proxy, { pathPrefix: `place-${places.length}`, ...over });
    places.push(one);
    return one;
  };
  const stop = async () => {
    for (const one of places) await one.remove();
    await proxy.stop();
    await s3.stop();
  };
  return { s3, proxy, place, stop };
}

/** What the played dump does: what it writes and what it says at its end. */
export interface Played {
  bytes: Buffer;
  /** Of the exit file; undefined: killed, it says nothing. */
  exit: string | undefined;
}

export class BarePlace {
  readonly #s3: Versitygw;
  readonly #proxy: S3Proxy;
  readonly #task: Partial<Task>;
  readonly #bare: BareRun[] = [];
  readonly #open: Storage[] = [];
  #looking: Promise<{ storage: Storage; prefix: string }> | undefined;

  constructor(s3: Versitygw, proxy: S3Proxy, task: Partial<Task>) {
    this.#s3 = s3;
    this.#proxy = proxy;
    this.#task = task;
  }

  /** @param login in place of the server's own */
  async run(over: Partial<Task> = {}, more: Partial<Run> = {}, login?: { id: string; key: string }): Promise<BareRun> {
    const secret = { name: 's3-credentials', accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'token' };
    const { region, accessKeyId: id, secretAccessKey: key } = this.#s3;
    const { endpoint } = this.#proxy;
    const storage: S3Task = { kind: 's3', bucket: 'backups', region, endpoint, forcePathStyle: true, secret };
    const bare = await bareRun(taskFor(storage, {}, { ...this.#task, ...over }), more);
    this.#bare.push(bare);
    await useLogin(bare.run, login ?? { id, key });
    return bare;
  }

  /** @param attempts tries of one request; one makes a fault final */
  async storage({ run }: BareRun, attempts = 5): Promise<Storage> {
    const { storage: task } = run.task;
    if (task.kind !== 's3') throw new Error('these tests need S3');
    const storage = await openS3(run, task, attempts);
    this.#open.push(storage);
    return storage;
  }

  /** A whole backup whose dump is played. Gives the last that was told, and throws what the run ended with. */
  async backup({ run }: BareRun, played: Played): Promise<Result | undefined> {
    const fifo = runFile(run.folders.run, 'fifo');
    await rm(fifo, { force: true });
    await rm(runFile(run.folders.run, 'exit'), { force: true });
    await command(['mkfifo', fifo]);
    let told: Result | undefined;
    const dump = play(run, fifo, played);
    try {
      await backup(run, (result) => {
        told = result;
      });
    } finally {
      await letGo(fifo, dump);
    }
    return told;
  }

  /** Names of what is visible below the prefix, seen past the proxy's faults. */
  async names(): Promise<string[]> {
    const { storage, prefix } = await this.look();
    const names: string[] = [];
    for await (const { key } of storage.list(prefix)) names.push(key.slice(prefix.length));
    return names.sort();
  }

  async pending(): Promise<number> {
    const { storage, prefix } = await this.look();
    return (await storage.pending(prefix)).length;
  }

  /** The store without the proxy between, by the server's own login. */
  look(): Promise<{ storage: Storage; prefix: string }> {
    this.#looking ??= this.#direct();
    return this.#looking;
  }

  async #direct(): Promise<{ storage: Storage; prefix: string }> {
    const { run } = await this.run();
    const { storage: task } = run.task;
    if (task.kind !== 's3') throw new Error('these tests need S3');
    const storage = await openS3(run, { ...task, endpoint: this.#s3.endpoint }, 1);
    this.#open.push(storage);
    return { storage, prefix: run.prefix };
  }

  async remove(): Promise<void> {
    for (const storage of this.#open) storage.close();
    for (const bare of this.#bare) await bare.remove();
  }
}

/** Puts a login into the files of the Secret, as a Secret that is changed does. */
export async function useLogin(run: Run, login: { id: string; key: string }): Promise<void> {
  for (const [name, value] of Object.entries(login)) await writeFile(join(run.folders.storageSecret, name), value);
}

/**
 * A run that ended before the dump opened the FIFO leaves it waiting for a reader. One comes and goes, as often as it takes: the dump may
 * come to its opening only after that.
 */
async function letGo(fifo: string, dump: Promise<void>): Promise<void> {
  let isOver = false;
  const over = dump.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    closeSync(openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK));
    await Promise.race([over, pause(10)]);
  }
  await over;
}

async function play(run: Run, fifo: string, { bytes, exit }: Played): Promise<void> {
  // Opens when the executor does.
  const file = await open(fifo, 'w');
  try {
    await file.writeFile(bytes);
    if (exit !== undefined) await writeFile(runFile(run.folders.run, 'exit'), exit);
  } catch {
    // The reader has gone first: the broken pipe is its doing.
  } finally {
    await file.close();
  }
}
