// How long a reflector waits: for a sign of life, after a failure, between lists.
import { ApiError } from './transport.ts';

export interface Patience {
  /** The server sends a bookmark about every minute; silence beyond this is a dead connection. */
  silence: number;
  /** A watch that ends sooner is not opened again before this has passed. */
  quickClose: number;
  /** Waits after failures double from the first to the most. */
  first: number;
  most: number;
  /** The server may ask for more than that, up to this. */
  asked: number;
  /** Lists begin no closer than this, whatever a server answers. */
  listEvery: number;
  /** The first list and a watch that was closed wait for up to this, by chance: else all come at once when a server is back. */
  spread: number;
  /** Every object is told again after this, in case a handler lost one. */
  resync: number;
}

/** All in milliseconds. */
export const usual: Patience = {
  silence: 120_000,
  quickClose: 1_000,
  first: 800,
  most: 30_000,
  asked: 300_000,
  listEvery: 1_000,
  spread: 300,
  resync: 36_000_000,
};

/** Milliseconds to wait after a failure: what the server asks for within reason, else doubling with jitter. */
export function waitAfter(error: unknown, failures: number, { first, most, asked }: Patience): number {
  if (error instanceof ApiError && error.retryAfter !== undefined)
    return Math.min(asked, Math.max(first, error.retryAfter * 1000));
  const limit = Math.min(most, first * 2 ** Math.min(failures - 1, 10));
  return limit / 2 + (Math.random() * limit) / 2;
}
