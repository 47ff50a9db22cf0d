// Decrypts what age sealed (format: age-encryption.org/v1). The header is opened by the age package; the payload by node:crypto, which is
// many times faster. A block is handed on only when its own seal holds: nothing of a changed, cut or reordered file comes out.
import { createDecipheriv, type KeyObject } from 'node:crypto';
import { Decrypter } from 'age-encryption';
import { RunError } from '../errors.ts';
import { blockBytes, blockNonce, nonceBytes, payloadKey, tagBytes } from './age-payload.ts';
import { ByteReader } from './reader.ts';
import { release } from './release.ts';

const sealedBytes = blockBytes + tagBytes;
/** At most 1 MiB is given at a time. */
const blocksAtOnce = 16;
/** Room for some 300 recipients; a file that goes on longer without its end of header is none of age. */
const longestHeader = 65_536;
const lastLine = /^--- [^\n]*\n/m;

/** Recipients that a message names. */
const named = 4;

/** None of the identities belongs to a recipient: nothing is known of the bytes. */
export class NotARecipient extends RunError {
  /** @param recipients whose identities would do, as far as they are known: the header does not tell them */
  constructor(recipients: readonly string[], options: ErrorOptions) {
    const more = recipients.length > named ? ` and ${recipients.length - named} more` : '';
    const list = recipients.length === 0 ? '' : `: ${recipients.slice(0, named).join(', ')}${more}`;
    super('DecryptFailed', `decrypt the snapshot: the identity is not one of its recipients${list}`, options);
  }
}

function refuse(detail: string, options?: ErrorOptions): RunError {
  return new RunError('DecryptFailed', `decrypt the snapshot: ${detail}`, options);
}

/** The header as it stands, up to the line with its code of authenticity. */
async function readHeader(reader: ByteReader): Promise<Buffer> {
  for (let looked = 0; looked < longestHeader && (await reader.fill(looked + 1)); ) {
    const seen = reader.peek(Math.min(reader.held, longestHeader));
    const found = lastLine.exec(seen.toString('latin1'));
    if (found !== null) return reader.take(found.index + found[0].length);
    looked = seen.length;
  }
  throw refuse('it does not begin with a header of age');
}

/** The file's own key. Says whether the header is broken or none of the identities is among its recipients. */
async function unwrap(
  header: Buffer,
  identities: readonly string[],
  recipients: readonly string[],
): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  let isStranger = false;
  try {
    for (const identity of identities) decrypter.addIdentity(identity);
  } catch (error) {
    throw refuse('an identity is not a secret key of age', { cause: error });
  }
  // Asked only when all before it had no answer.
  decrypter.addIdentity({
    unwrapFileKey() {
      isStranger = true;
      return null;
    },
  });
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    throw isStranger
      ? new NotARecipient(recipients, { cause: error })
      : refuse('its header was changed or is damaged', { cause: error });
  }
}

/** Opens one block. */
function open(key: KeyObject, number: number, last: boolean, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('chacha20-poly1305', key, blockNonce(number, last), { authTagLength: tagBytes });
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  const plain = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
  try {
    decipher.final();
  } catch (error) {
    const detail = last ? 'it was cut off or changed near its end' : `it was changed in block ${number}`;
    throw refuse(detail, { cause: error });
  }
  return plain;
}

/**
 * With identities a chunk of the source has to stay only until the next one is asked for.
 * @param identities age secret keys, each of which may be the one; none leaves the stream as it is
 * @param recipients public keys that it was sealed for, for messages
 */
export async function* decrypt(
  source: AsyncIterable<Buffer>,
  identities: readonly string[],
  recipients: readonly string[] = [],
): AsyncGenerator<Buffer, void, void> {
  if (identities.length === 0) {
    yield* source;
    return;
  }
  const reader = new ByteReader(source);
  try {
    const fileKey = await unwrap(await readHeader(reader), identities, recipients);
    if (!(await reader.fill(nonceBytes))) throw refuse('it was cut off after its header');
    const key = payloadKey(fileKey, reader.take(nonceBytes));
    let number = 0;
    // A whole block at the very end may be the last one: it is opened as such only when nothing follows.
    while (await reader.fill(sealedBytes + 1)) {
      const count = Math.min(blocksAtOnce, Math.floor((reader.held - 1) / sealedBytes));
      const blocks = Buffer.allocUnsafeSlow(count * blockBytes);
      for (let at = 0; at < blocks.length; at += blockBytes, number += 1) {
        const plain = open(key, number, false, reader.take(sealedBytes));
        plain.copy(blocks, at);
        release(plain);
      }
      yield blocks;
    }
    if (reader.held < tagBytes) throw refuse('it was cut off near its end');
    const last = open(key, number, true, reader.take(reader.held));
    if (last.length === 0 && number > 0) throw refuse('its last block is empty, which age never writes');
    if (last.length > 0) yield last;
  } finally {
    await reader.close();
  }
}
