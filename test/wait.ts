// Waiting for a state of the world: bounded, and with a last word that says what was waited for.
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks until the answer is neither undefined nor false.
 * @param what ends the sentence "waited for ...: " in the error
 */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  { seconds = 180, everyMilliseconds = 150 }: { seconds?: number; everyMilliseconds?: number } = {},
): Promise<T> {
  const until = Date.now() + seconds * 1000;
  let last: unknown;
  while (Date.now() < until) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await sleep(everyMilliseconds);
  }
  throw new Error(`waited ${seconds} s for: ${what}${last === undefined ? '' : ` (last error: ${String(last)})`}`);
}
