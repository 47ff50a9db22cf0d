// Encrypts a stream to what the stock age program opens (format: age-encryption.org/v1). The header comes from the age package; the
// payload is sealed with node:crypto, which is many times faster.
import { createCipheriv, hkdfSync } from 'node:crypto';
import { Encrypter } from 'age-encryption';

const blockBytes = 65_536;
const nonceBytes = 16;
const tagBytes = 16;
/** What follows the header when nothing is encrypted: the nonce and one empty sealed block. */
const emptyPayloadBytes = nonceBytes + tagBytes;

interface Opening {
  /** Header and nonce, the beginning of the file. */
  bytes: Buffer;
  key: Buffer;
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
  return { bytes, key: Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32)) };
}

/** Seals one block. The nonce is the block's number, 11 bytes big-endian, and 1 for the last block. */
function seal(key: Buffer, number: number, last: boolean, block: Buffer): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(number, 5, 6);
  nonce[11] = last ? 1 : 0;
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: tagBytes });
  return Buffer.concat([cipher.update(block), cipher.final(), cipher.getAuthTag()]);
}

/** Blocks of the full size and a last one, which is empty only when the source is. */
async function* blocks(source: AsyncIterable<Buffer>): AsyncGenerator<{ block: Buffer; last: boolean }> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const chunk of source) {
    held.push(chunk);
    size += chunk.length;
    if (size <= blockBytes) continue;
    const all = Buffer.concat(held);
    let at = 0;
    // A full block at the very end is kept back: it may be the last.
    for (; size - at > blockBytes; at += blockBytes) yield { block: all.subarray(at, at + blockBytes), last: false };
    held = [all.subarray(at)];
    size -= at;
  }
  yield { block: Buffer.concat(held), last: true };
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
  const { bytes, key } = await open(recipients);
  yield bytes;
  let number = 0;
  for await (const { block, last } of blocks(source)) {
    yield seal(key, number, last, block);
    number += 1;
  }
}
