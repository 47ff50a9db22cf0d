// A cache of one kind that follows the API server: list in pages, then watch with bookmarks, list again when the server says so.
// It survives resets, 410, 429, 503, a stream that goes silent and handlers that throw; only stop() ends it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { adoptSpec, type Cached, keepAll } from './keep.ts';
import type { WatchedKind } from './kube.ts';
import { type Patience, usual, waitAfter } from './patience.ts';
import { ApiError, type Transport } from './transport.ts';

/** Objects a list page; the server's own default for controllers. */
const pageSize = 500;
/** The server ends a watch after this and up to twice as long, so that not all end at once; it is then opened again where it was. */
const watchSeconds = 300;

export interface ReflectorOptions<T> {
  /** What is cached of an object; without it all but managedFields. */
  keep?: (object: T) => T;
  patience?: Partial<Patience>;
}

interface WatchEvent<T> {
  type: string;
  object: T & { code?: number; message?: string };
}

interface ListPage<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[];
}

export class Reflector<T extends Cached> {
  readonly items = new Map<string, T>();
  private readonly transport: Transport;
  private readonly kind: WatchedKind;
  private readonly changed: (object: T) => void;
  private readonly log: Logger;
  private readonly keep: (object: T) => T;
  private readonly patience: Patience;
  private readonly stopped = new AbortController();
  private listBegan = Number.NEGATIVE_INFINITY;
  private heard: number | undefined;
  private listed: (() => void) | undefined;
  /** Resolves after the first whole list. */
  readonly synced: Promise<void>;

  constructor(
    transport: Transport,
    kind: WatchedKind,
    log: Logger,
    changed: (object: T) => void,
    { keep = keepAll, patience = {} }: ReflectorOptions<T> = {},
  ) {
    this.keep = keep;
    this.patience = { ...usual, ...patience };
    this.transport = transport;
    this.kind = kind;
    this.log = log;
    this.changed = changed;
    this.synced = new Promise((resolve) => {
      this.listed = resolve;
    });
  }

  get name(): WatchedKind['name'] {
    return this.kind.name;
  }

  /** When the server last said anything, a bookmark included: wall time in ms, undefined before the first word. */
  get lastEventAt(): number | undefined {
    return this.heard;
  }

  stop(): void {
    this.stopped.abort();
  }

  /** Runs until stop(). Never rejects. */
  async run(): Promise<void> {
    const resync = setInterval(() => {
      for (const item of this.items.values()) this.tell(item);
    }, this.patience.resync);
    await this.pause(this.byChance());
    await this.follow();
    clearInterval(resync);
  }

  private async follow(): Promise<void> {
    let version: string | undefined;
    let failures = 0;
    while (!this.stopped.signal.aborted) {
      try {
        version ??= await this.list();
        const opened = Date.now();
        version = await this.watch(version);
        failures = 0;
        // A server that closes at once must not be asked in a tight loop.
        const { quickClose } = this.patience;
        await this.pause(this.byChance() + (Date.now() - opened < quickClose ? quickClose : 0));
      } catch (error) {
        if (this.stopped.signal.aborted) return;
        // Whatever happened, a fresh list puts it right; only a closed connection may go on from where it was.
        version = undefined;
        failures += 1;
        const wait = waitAfter(error, failures, this.patience);
        this.log.warn(
          { kind: this.kind.name, error: String(error), waitMilliseconds: wait },
          'watch failed, listing again',
        );
        await this.pause(wait);
      }
    }
  }

  private async pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.stopped.signal }).catch(() => undefined);
  }

  private byChance(): number {
    return Math.random() * this.patience.spread;
  }

  private async list(): Promise<string> {
    await this.pause(Math.max(0, this.listBegan + this.patience.listEvery - performance.now()));
    this.listBegan = performance.now();
    const fresh = new Map<string, T>();
    let token: string | undefined;
    let version = '';
    do {
      const page: ListPage<T> = await this.transport.call({
        method: 'GET',
        path: this.kind.path,
        signal: this.stopped.signal,
        query: { ...this.selector(), limit: String(pageSize), ...(token === undefined ? {} : { continue: token }) },
      });
      this.heard = Date.now();
      for (const item of page.items) fresh.set(keyOf(item), this.kept(item));
      version = page.metadata.resourceVersion;
      token = page.metadata.continue === '' ? undefined : page.metadata.continue;
    } while (token !== undefined);
    const gone = [...this.items].filter(([key]) => !fresh.has(key)).map(([, item]) => item);
    this.items.clear();
    for (const [key, item] of fresh) this.items.set(key, item);
    this.listed?.();
    for (const item of [...gone, ...fresh.values()]) this.tell(item);
    return version;
  }

  /** Follows changes after a version; gives the version to go on from when the server closes the stream. */
  private async watch(from: string): Promise<string> {
    let version = from;
    const silence = new AbortController();
    const signal = AbortSignal.any([silence.signal, this.stopped.signal]);
    const arm = (): NodeJS.Timeout =>
      setTimeout(() => silence.abort(new Error('no bookmark: the connection is dead')), this.patience.silence);
    let timer = arm();
    try {
      const query = {
        ...this.selector(),
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: version,
        timeoutSeconds: String(Math.round(watchSeconds * (1 + Math.random()))),
      };
      for await (const line of this.transport.lines({ method: 'GET', path: this.kind.path, query, signal })) {
        clearTimeout(timer);
        timer = arm();
        version = this.take(JSON.parse(line) as WatchEvent<T>);
      }
    } finally {
      clearTimeout(timer);
    }
    return version;
  }

  private take(event: WatchEvent<T>): string {
    const { type, object } = event;
    if (type === 'ERROR')
      throw new ApiError(`watch ${this.kind.name}`, object.code ?? 500, object.message ?? 'error event');
    this.heard = Date.now();
    if (type !== 'BOOKMARK') {
      const item = this.kept(object);
      if (type === 'DELETED') this.items.delete(keyOf(item));
      else this.items.set(keyOf(item), item);
      this.tell(item);
    }
    return object.metadata.resourceVersion;
  }

  private kept(object: T): T {
    return adoptSpec(this.items.get(keyOf(object)), this.keep(object));
  }

  private tell(object: T): void {
    try {
      this.changed(object);
    } catch (error) {
      this.log.error({ kind: this.kind.name, error: String(error) }, 'handler failed');
    }
  }

  private selector(): Record<string, string> {
    return this.kind.labelSelector === undefined ? {} : { labelSelector: this.kind.labelSelector };
  }
}

export function keyOf(object: { metadata: { namespace?: string; name: string } }): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}
