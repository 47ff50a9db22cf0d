// What a clock that is far from the store's does: the store refuses what it signs as if the credentials were wrong.

/** Google takes tokens that are some minutes off, Azure requests of up to fifteen. */
const skewMilliseconds = 300_000;

export const clockHint = ", this node's clock is far from the store's";

export function isSkewed(ahead: number | undefined): boolean {
  return Math.abs(ahead ?? 0) > skewMilliseconds;
}
