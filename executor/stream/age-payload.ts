// What sealing and opening the payload of an age file share (format: age-encryption.org/v1): its key, and the nonce of each block.
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

export const blockBytes = 65_536;
export const tagBytes = 16;
export const nonceBytes = 16;

/** As an object: given as bytes, the key costs more than half as much as the cipher, at each block. */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32)));
}

/** The block's number, 11 bytes big-endian, and 1 for the last block. */
export function blockNonce(number: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(number, 5, 6);
  nonce[11] = last ? 1 : 0;
  return nonce;
}
