// CRC-32C against the values of RFC 3720 (B.4), which iSCSI published for it.
import { expect, test } from 'vitest';
import { Crc32c } from '../../executor/storage/crc32c.ts';

const hex = (sum: Crc32c): string => Buffer.from(sum.base64(), 'base64').toString('hex');

function sumOf(bytes: Buffer): string {
  const sum = new Crc32c();
  sum.update(bytes);
  return hex(sum);
}

test.each([
  ['nothing', Buffer.alloc(0), '00000000'],
  ['32 zeros', Buffer.alloc(32), '8a9136aa'],
  ['32 ones', Buffer.alloc(32, 0xff), '62a8ab43'],
  ['0 to 31', Buffer.from(Array.from({ length: 32 }, (_, n) => n)), '46dd794e'],
  ['31 to 0', Buffer.from(Array.from({ length: 32 }, (_, n) => 31 - n)), '113fdb5c'],
  ['nine digits', Buffer.from('123456789'), 'e3069283'],
])('%s', (_what, bytes, wanted) => {
  expect(sumOf(bytes)).toBe(wanted);
});

test('does not depend on where the bytes lie or how they are cut', () => {
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, n) => (n * 37) % 251));
  const wanted = sumOf(bytes);
  for (let shift = 0; shift < 8; shift++) {
    const moved = Buffer.alloc(bytes.length + shift);
    bytes.copy(moved, shift);
    expect(sumOf(moved.subarray(shift))).toBe(wanted);
    const sum = new Crc32c();
    for (let at = 0; at < bytes.length; at += 7 + shift) sum.update(bytes.subarray(at, at + 7 + shift));
    expect(hex(sum)).toBe(wanted);
  }
});
