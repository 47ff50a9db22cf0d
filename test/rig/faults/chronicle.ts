// What an API server told of one kind, each single event in its order: a watch of which nothing may be missed, not even between two of them.
import type { Transport } from '../../../controller/transport.ts';

export interface Told<T> {
  /** Of the whole store, so that events of different kinds have one order. */
  revision: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: T;
}

interface Named {
  metadata: { namespace?: string; name: string; resourceVersion: string };
}

const keyOf = ({ metadata }: Named): string => `${metadata.namespace ?? ''}/${metadata.name}`;

export class Chronicle<T extends Named> {
  /** From the first event on. */
  readonly told: Told<T>[] = [];
  /** What there is now, by namespace/name. */
  readonly items = new Map<string, T>();
  private readonly transport: Transport;
  private readonly path: string;
  private readonly kept: (object: T) => T;
  private readonly changed: (object: T) => void;
  private readonly ended = new AbortController();
  private revision = '';
  private failure: unknown;

  /**
   * @param path of the kind's list
   * @param kept what is remembered of an object
   * @param changed called after each event
   */
  constructor(transport: Transport, path: string, kept: (object: T) => T, changed: (object: T) => void) {
    this.transport = transport;
    this.path = path;
    this.kept = kept;
    this.changed = changed;
  }

  /** Resolves when nothing can be missed from here on. */
  async start(): Promise<void> {
    const list = await this.transport.call<{ metadata: { resourceVersion: string }; items: T[] }>({
      method: 'GET',
      path: this.path,
    });
    for (const item of list.items) this.items.set(keyOf(item), this.kept(item));
    this.revision = list.metadata.resourceVersion;
    void this.follow();
  }

  stop(): void {
    this.ended.abort();
  }

  /** Throws when the watch could not go on where it had been cut: then something may be missing. */
  check(): void {
    if (this.failure !== undefined) throw new Error(`watch ${this.path} without a gap`, { cause: this.failure });
  }

  private async follow(): Promise<void> {
    while (!this.ended.signal.aborted && this.failure === undefined) {
      const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: this.revision };
      try {
        const lines = this.transport.lines({ method: 'GET', path: this.path, query, signal: this.ended.signal });
        for await (const line of lines) this.take(JSON.parse(line) as { type: string; object: T });
      } catch (error) {
        // What was opened again goes on with the next event; 410 and the like would be a gap.
        if (!(error instanceof TypeError)) this.failure = error;
      }
    }
  }

  private take({ type, object }: { type: string; object: T }): void {
    if (type === 'ERROR') throw new Error(JSON.stringify(object));
    this.revision = object.metadata.resourceVersion;
    if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') return;
    const kept = this.kept(object);
    this.told.push({ revision: Number(this.revision), type, object: kept });
    if (type === 'DELETED') this.items.delete(keyOf(object));
    else this.items.set(keyOf(object), kept);
    this.changed(kept);
  }
}
