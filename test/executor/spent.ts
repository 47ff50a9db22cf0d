// Chunks as the executor gives them to an end marker: their memory is taken away as soon as the marker has answered.
import type { EndMarker } from '../../crds/rules/engines/engine.ts';

/** @returns what the marker answers, once the chunk is gone; a chunk that it refuses stays */
export function push(marker: EndMarker, bytes: Uint8Array): void | Promise<void> {
  const chunk = Buffer.allocUnsafeSlow(bytes.length);
  chunk.set(bytes);
  const takeAway = (): void => {
    chunk.fill(0xa5);
    chunk.buffer.transfer(0);
  };
  const answer = marker.push(chunk);
  if (answer !== undefined) return answer.then(takeAway);
  takeAway();
}
