// Events for people: what happened to an object, as events.k8s.io/v1. What repeats becomes one series instead of many events, and no
// object has more written than its allowance. An event that cannot be written is counted and forgotten; no work waits or fails for it.
import { createHash } from 'node:crypto';
import { Recent } from './recent.ts';
import { ApiError } from './transport.ts';

/** What writes them; both throw ApiError. */
export interface EventSink {
  createEvent(namespace: string, event: object): Promise<unknown>;
  /** A merge patch. */
  patchEvent(namespace: string, name: string, patch: object): Promise<unknown>;
}

/** What an event is about. */
export interface Regarding {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace: string; uid: string };
}

export interface Happening {
  type: 'Normal' | 'Warning';
  /** One word in camel case: what happened. */
  reason: string;
  /** One word in camel case: what was being done. */
  action: string;
  /** For people. It says nothing that status does not say too. */
  note: string;
}

/** A repeat that comes later than this after the one before starts an event of its own, as with client-go. */
const seriesMilliseconds = 6 * 60_000;
/** What may be written about one object: so many at once, and one more each refill, as with client-go. 37 in the first hour, then 12. */
const allowance = { burst: 25, refillMilliseconds: 5 * 60_000 };
/** More than the 10,000 objects we are made for, so that in a storm none loses its count; some 300 bytes each, 5 MB for both maps. */
const remembered = 16_384;
/** Writes under way. With an API server that does not answer each waits for a minute. */
const mostUnderWay = 100;
/** Limits of the API, in bytes. */
const limits = { note: 1024, instance: 128 };

interface Series {
  name: string;
  eventTime: string;
  count: number;
  lastAt: number;
  /** How many of them the API server knows of. */
  told: number;
  /** Its writes, one after the other. */
  turn: Promise<void>;
}

interface Allowance {
  left: number;
  at: number;
}

export interface EventOptions {
  /** Name of this process. */
  instance: string;
  now: () => Date;
  /** An event, or the count of a repeat, was not written. */
  dropped: () => void;
}

export class Events {
  private readonly sink: EventSink;
  private readonly options: EventOptions;
  private readonly series = new Recent<Series>(remembered);
  private readonly allowances = new Recent<Allowance>(remembered);
  private underWay = 0;

  constructor(sink: EventSink, options: EventOptions) {
    this.sink = sink;
    this.options = options;
  }

  /** Resolves when it is written or given up; never rejects, so nobody has to wait for it. */
  async record(regarding: Regarding, happening: Happening): Promise<void> {
    const now = this.options.now().getTime();
    const series = this.seriesOf(regarding, happening, now);
    series.count += 1;
    series.lastAt = now;
    if (this.underWay >= mostUnderWay) {
      this.options.dropped();
      return;
    }
    this.underWay += 1;
    series.turn = series.turn.then(() => this.write(regarding, happening, series)).catch(() => this.options.dropped());
    await series.turn;
    this.underWay -= 1;
  }

  /**
   * client-go leaves the note out of what makes a repeat. Here another note is another event: who triggers again after a mended
   * failure must not read the old failure, counted twice.
   */
  private seriesOf({ metadata }: Regarding, { type, reason, action, note }: Happening, now: number): Series {
    const key = digest(metadata.uid, type, reason, action, note);
    const name = `${metadata.name}.${digest(key, String(now))}`;
    return this.series.take(
      key,
      () => ({ name, eventTime: microTime(now), count: 0, lastAt: now, told: 0, turn: Promise.resolve() }),
      ({ lastAt }) => now - lastAt <= seriesMilliseconds,
    );
  }

  private async write(regarding: Regarding, happening: Happening, series: Series): Promise<void> {
    const { count, told, name } = series;
    // A write before this one has told of it already.
    if (told >= count) return;
    if (!this.allowed(regarding.metadata.uid)) {
      this.options.dropped();
      return;
    }
    const repeats = count > 1 ? { series: { count, lastObservedTime: microTime(series.lastAt) } } : {};
    if (told === 0 || !(await this.patch(regarding.metadata.namespace, name, repeats)))
      await this.create({ ...this.eventOf(regarding, happening, series), ...repeats }, regarding.metadata.namespace);
    series.told = count;
  }

  /** @returns whether the event was there */
  private async patch(namespace: string, name: string, repeats: object): Promise<boolean> {
    try {
      await this.sink.patchEvent(namespace, name, repeats);
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false;
      throw error;
    }
  }

  private async create(event: object, namespace: string): Promise<void> {
    try {
      await this.sink.createEvent(namespace, event);
    } catch (error) {
      // It is ours, and the answer to its creation was lost: the name is made of what it says.
      if (!(error instanceof ApiError && error.status === 409)) throw error;
    }
  }

  private eventOf({ apiVersion, kind, metadata }: Regarding, happening: Happening, series: Series): object {
    const { name, namespace, uid } = metadata;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: series.name, namespace },
      eventTime: series.eventTime,
      reportingController: 'dbbackup.io/controller',
      reportingInstance: cut(this.options.instance, limits.instance),
      type: happening.type,
      reason: happening.reason,
      action: happening.action,
      note: cut(happening.note, limits.note),
      regarding: { apiVersion, kind, name, namespace, uid },
    };
  }

  private allowed(uid: string): boolean {
    const now = this.options.now().getTime();
    const one = this.allowances.take(uid, () => ({ left: allowance.burst, at: now }));
    one.left = Math.min(allowance.burst, one.left + Math.max(0, now - one.at) / allowance.refillMilliseconds);
    one.at = now;
    if (one.left < 1) return false;
    one.left -= 1;
    return true;
  }
}

const digest = (...parts: string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);

const microTime = (at: number): string => new Date(at).toISOString().replace('Z', '000Z');

/** The text in at most so many bytes of UTF-8, cut between characters. */
function cut(text: string, bytes: number): string {
  const buffer = Buffer.from(text);
  if (buffer.length <= bytes) return text;
  let end = bytes;
  // Bytes 10xxxxxx go on with a character that began before.
  while (((buffer[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return buffer.subarray(0, end).toString();
}
