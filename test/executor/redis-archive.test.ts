// The end marker of Redis: whole RDB files in any pieces pass, and no other bytes.
import { expect, test } from 'vitest';
import { ecma, jones, littleEndian, type Sum } from '../../crds/rules/engines/crc64.ts';
import { redisArchive } from '../../crds/rules/engines/redis-archive.ts';
import { randomOf } from '../crds/seeded.ts';
import { push } from './spent.ts';

const delimiter = Buffer.from('3885e0970dfa0acb5b8ec75fd65bb4051642822a');

function rdb(content: Buffer, { magic = 'REDIS0010', sum = true } = {}): Buffer {
  const body = Buffer.concat([Buffer.from(magic), content, Buffer.from([0xff])]);
  const found: Sum = { high: 0, low: 0 };
  jones(found, body);
  return Buffer.concat([body, sum ? littleEndian(found) : Buffer.alloc(8)]);
}

function watch(bytes: Buffer, size = bytes.length): void {
  const marker = redisArchive();
  for (let at = 0; at < bytes.length; at += size) void push(marker, bytes.subarray(at, at + size));
  void marker.end();
}

test('the sums are those that their definitions give for "123456789"', () => {
  const digits = Buffer.from('123456789');
  const redis: Sum = { high: 0, low: 0 };
  jones(redis, digits);
  expect(littleEndian(redis).reverse().toString('hex')).toBe('e9c6d914c4b8d9ca');
  const mongodb: Sum = { high: -1, low: -1 };
  ecma(mongodb, digits);
  expect(littleEndian({ high: ~mongodb.high, low: ~mongodb.low }).reverse().toString('hex')).toBe('995dc9bbdf1939fa');
});

test('a sum does not depend on where the bytes are cut', () => {
  const random = randomOf(1);
  const bytes = Buffer.from(Array.from({ length: 500 }, () => random.below(256)));
  const whole: Sum = { high: 0, low: 0 };
  jones(whole, bytes);
  for (let cut = 0; cut <= 60; cut++) {
    const parts: Sum = { high: 0, low: 0 };
    jones(parts, bytes.subarray(0, cut));
    jones(parts, bytes.subarray(cut));
    expect(littleEndian(parts)).toEqual(littleEndian(whole));
  }
});

const content = Buffer.from('\xfa\x09redis-ver\x067.0.15\xfe\x00\x00\x03key\x05value'.repeat(20), 'latin1');
const whole: [string, Buffer][] = [
  ['of Redis', rdb(content)],
  ['of Valkey', rdb(content, { magic: 'VALKEY080' })],
  ['with nothing in it', rdb(Buffer.alloc(0))],
  ['without a sum', rdb(content, { sum: false })],
  ['before the delimiter of a server that keeps no file', Buffer.concat([rdb(content), delimiter])],
  ['without a sum before the delimiter', Buffer.concat([rdb(content, { sum: false }), delimiter])],
];

test.each(whole)('a file %s passes in pieces of any size', (_what, bytes) => {
  for (const size of [1, 2, 7, 8, 9, 47, 48, 49, 64, 100, bytes.length]) watch(bytes, size);
});

test.each(whole)('a file %s that is cut off anywhere does not pass', (_what, bytes) => {
  const bare = bytes.subarray(0, -delimiter.length);
  const isDelimited = bytes.subarray(-delimiter.length).equals(delimiter);
  for (let length = 0; length < bytes.length; length++) {
    if (isDelimited && length === bare.length) continue;
    expect(() => watch(bytes.subarray(0, length)), `${length} bytes`).toThrow(/^read the dump: /);
  }
});

test.each(whole.filter(([what]) => !what.startsWith('without')))(
  'a file %s with one bit turned does not pass',
  (_what, bytes) => {
    const end = bytes.subarray(-delimiter.length).equals(delimiter) ? bytes.length - delimiter.length : bytes.length;
    for (let at = 0; at < end; at++) {
      const broken = Buffer.from(bytes);
      broken[at] = (broken[at] ?? 0) ^ 4;
      expect(() => watch(broken), `byte ${at}`).toThrow();
    }
  },
);

test.each([
  ['text', Buffer.from('-ERR unknown command\n')],
  ['a byte behind the end', Buffer.concat([rdb(content), Buffer.from('x')])],
  ['a delimiter of other letters', Buffer.concat([rdb(content), Buffer.alloc(40, 'z')])],
  ['two files', Buffer.concat([rdb(content), rdb(Buffer.alloc(0)).subarray(0, 12)])],
])('%s does not pass', (_what, bytes) => {
  expect(() => watch(bytes)).toThrow(/^read the dump: /);
});
