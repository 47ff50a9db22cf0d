// Reads a stored object by ranges, several at once and given in order. A range that breaks is read on from the byte where it broke.
import { setTimeout as pause } from 'node:timers/promises';
import type { Reason } from '../crds/rules/reasons.ts';
import { RunError } from './errors.ts';
import { untilAborted } from './storage/parts.ts';
import type { Storage } from './storage/storage.ts';
import { releaseWhole } from './stream/release.ts';

/** Four ranges on their way and one in use: 40 MiB of memory. */
export const rangeBytes = 8_388_608;
const rangesAtOnce = 4;
/** The first range is small: the tool waits for it, and all that are on their way share the line. */
export const firstRangeBytes = 1_048_576;
/** Breaks one after the other without a byte between them, and of one range in all. */
const mostBreaks = 6;
const mostBreaksOfRange = 30;
/** Waits between them double: 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s. The store's client tries each request several times itself. */
const againMilliseconds = 200;
/** A range that gives no byte for so long is taken for broken. */
const stallMilliseconds = 60_000;

/** Another try would end alike. */
const final = new Set<Reason>(['StorageDenied', 'StorageAuthFailed', 'ConfigInvalid', 'SecretInvalid', 'Canceled']);

export interface Wanted {
  key: string;
  /** Bytes that it must have. */
  size: number;
}

/** Reads into the buffer from `at` on until it is full or the stream ends; gives how far it came, and what broke it. */
async function readOnce(
  storage: Storage,
  key: string,
  { start, buffer, at }: { start: number; buffer: Buffer; at: number },
  signal: AbortSignal,
): Promise<{ filled: number; broke?: unknown }> {
  const attempt = new AbortController();
  const abort = () => attempt.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  const stalled = () =>
    attempt.abort(
      new RunError('StorageUnreachable', `read "${key}": not a byte came for ${stallMilliseconds / 1000} s`),
    );
  let timer = setTimeout(stalled, stallMilliseconds);
  let filled = at;
  try {
    for await (const chunk of untilAborted(storage.get(key, start + at, buffer.length - at), attempt.signal)) {
      clearTimeout(timer);
      filled += chunk.copy(buffer, filled);
      releaseWhole(chunk);
      if (filled === buffer.length) break;
      timer = setTimeout(stalled, stallMilliseconds);
    }
    return { filled };
  } catch (broke) {
    return { filled, broke };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

/** Why a range could not be had, when all tries are over. */
async function giveUp(storage: Storage, { key, size }: Wanted, at: number, broke: unknown): Promise<RunError> {
  const found = await storage.head(key).catch(() => null);
  if (found === undefined) return new RunError('SnapshotNotFound', `read "${key}": it was deleted meanwhile`);
  if (found !== null && found.size !== size)
    return new RunError(
      'DigestMismatch',
      `read "${key}": the store holds ${found.size} bytes, its manifest tells ${size}`,
    );
  if (broke instanceof RunError && broke.reason !== 'UploadFailed') return broke;
  const detail = broke instanceof RunError ? broke.message : `it ended ${size - at} bytes early, again and again`;
  return new RunError('StorageUnreachable', `read "${key}" from byte ${at}: ${detail}`, { cause: broke });
}

async function readRange(
  storage: Storage,
  wanted: Wanted,
  { start, end }: { start: number; end: number },
  signal: AbortSignal,
): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(end - start);
  let at = 0;
  let inRow = 0;
  for (let breaks = 0; ; breaks += 1) {
    const { filled, broke } = await readOnce(storage, wanted.key, { start, buffer, at }, signal);
    if (filled === buffer.length) return buffer;
    signal.throwIfAborted();
    inRow = filled > at ? 1 : inRow + 1;
    at = filled;
    const isFinal = broke instanceof RunError && final.has(broke.reason);
    if (isFinal || inRow >= mostBreaks || breaks >= mostBreaksOfRange)
      throw await giveUp(storage, wanted, start + at, broke);
    await pause(againMilliseconds * 2 ** (inRow - 1), undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** The object's bytes in order, in pieces of at most rangeBytes. Throws when it has not exactly its size, also when it has more. */
export async function* download(
  storage: Storage,
  wanted: Wanted,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  const found = await storage.head(wanted.key);
  if (found?.size !== wanted.size) throw await giveUp(storage, wanted, 0, undefined);
  const left = new AbortController();
  const either = AbortSignal.any([signal, left.signal]);
  const flying: Promise<Buffer>[] = [];
  let next = 0;
  try {
    while (next < wanted.size || flying.length > 0) {
      while (next < wanted.size && flying.length < rangesAtOnce) {
        const [start, length] = [next, next === 0 ? firstRangeBytes : rangeBytes];
        next = Math.min(wanted.size, start + length);
        const range = readRange(storage, wanted, { start, end: next }, either);
        // It is awaited later than it may fail.
        range.catch(() => {});
        flying.push(range);
      }
      yield await (flying.shift() as Promise<Buffer>);
    }
  } finally {
    left.abort(new RunError('Canceled', 'read no further'));
  }
}
