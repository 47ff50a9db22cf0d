// Encrypts a stream to what the stock age program opens (format: age-encryption.org/v1). The header comes from the age package; the
// payload is sealed with node:crypto, which is many times faster.
import { createCipheriv, type KeyObject } from 'node:crypto';
import { Encrypter } from 'age-encryption';
import { blockBytes, blockNonce, nonceBytes, payloadKey, tagBytes } from './age-payload.ts';
import { release } from './release.ts';

/** What follows the header when nothing is encrypted: the nonce and one empty sealed block. */
const emptyPayloadBytes = nonceBytes + tagBytes;

interface Opening {
  /** Header and nonce, the beginning of the file. */
  bytes: Buffer;
  key: KeyObject;
}

async function open(recipients: readonly string[]): Promise<Opening> {
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  let fileKey = Buffer.alloc(0);
  // One that is given the file key like the others and writes nothing into the header.
  const listener = {
    wrapFileKey(key: Uint8Array) {
      fileKey = Buffer.from(key);
      return [];
    },
  };
  encrypter.addRecipient(listener);
  const file = Buffer.from(await encrypter.encrypt(new Uint8Array()));
  const bytes = file.subarray(0, file.length - emptyPayloadBytes + nonceBytes);
  const nonce = bytes.subarray(bytes.length - nonceBytes);
  return { bytes, key: payloadKey(fileKey, nonce) };
}

/**
 * Seals one block into `target`.
 * @returns where the next one begins
 */
function seal(key: KeyObject, number: number, last: boolean, block: Buffer, target: Buffer, at: number): number {
  const cipher = createCipheriv('chacha20-poly1305', key, blockNonce(number, last), { authTagLength: tagBytes });
  const sealed = cipher.update(block);
  const size = sealed.copy(target, at);
  release(sealed);
  cipher.final();
  return at + size + cipher.getAuthTag().copy(target, at + size);
}

/** Whole blocks, many at a time, and at last what is left, which is empty only when the source is. */
async function* blocks(source: AsyncIterable<Buffer>): AsyncGenerator<{ bytes: Buffer; last: boolean }> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    // A full block at the very end is kept back: it may be the last.
    const whole = bytes.length === 0 ? 0 : Math.floor((bytes.length - 1) / blockBytes) * blockBytes;
    if (whole > 0) yield { bytes: bytes.subarray(0, whole), last: false };
    // Copied, so that nothing of the chunk is needed once the next one is asked for.
    rest = Buffer.from(bytes.subarray(whole));
  }
  yield { bytes: rest, last: true };
}

/** @param recipients age public keys; none leaves the stream as it is */
export async function* encrypt(
  source: AsyncIterable<Buffer>,
  recipients: readonly string[],
): AsyncGenerator<Buffer, void, void> {
  if (recipients.length === 0) {
    yield* source;
    return;
  }
  const opening = await open(recipients);
  yield opening.bytes;
  let number = 0;
  for await (const { bytes, last } of blocks(source)) {
    const count = Math.max(1, Math.ceil(bytes.length / blockBytes));
    const sealed = Buffer.allocUnsafeSlow(bytes.length + count * tagBytes);
    let at = 0;
    for (let from = 0; from === 0 || from < bytes.length; from += blockBytes)
      at = seal(opening.key, number++, last, bytes.subarray(from, from + blockBytes), sealed, at);
    yield sealed;
  }
}
