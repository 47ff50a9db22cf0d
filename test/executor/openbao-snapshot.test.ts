// The end marker of OpenBao's snapshots: whole ones pass however they are cut and packed, and nothing else does.
import { createHash, randomBytes } from 'node:crypto';
import { constants, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { openbaoSnapshot } from '../../crds/rules/engines/openbao-snapshot.ts';
import { push } from './spent.ts';

/** A member of a tar archive as Go's archive/tar writes it. */
function member(name: string, content: Buffer, kind = '0'): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000600\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('15054330000\0', 136);
  header.write('        ', 148);
  header.write(kind, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

const meta = Buffer.from('{"Version":1,"ID":"bolt-snapshot","Index":31,"Term":3,"Size":12350}\n');
const state = randomBytes(300_000);
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const sums = (one = state) => Buffer.from(`${digest(meta)}  meta.json\n${digest(one)}  state.bin\n`);
const end = Buffer.alloc(1024);
const usual = [
  member('meta.json', meta),
  member('state.bin', state),
  member('SHA256SUMS', sums()),
  member('SHA256SUMS.sealed', randomBytes(185)),
  end,
];
const pack = (parts: Buffer[]): Buffer => gzipSync(Buffer.concat(parts));
const whole = pack(usual);

async function watch(bytes: Buffer, size = bytes.length): Promise<void> {
  const marker = openbaoSnapshot();
  for (let at = 0; at < bytes.length; at += size) await push(marker, bytes.subarray(at, at + size));
  await marker.end();
}

test('a whole snapshot passes in chunks of many sizes', async () => {
  for (const size of [97, 511, 512, 513, 65_536, whole.length]) await watch(whole, size);
  for (const size of [1, 2, 3])
    await watch(
      pack([
        member('meta.json', meta),
        member('state.bin', Buffer.alloc(0)),
        member('SHA256SUMS', sums(Buffer.alloc(0))),
        member('SHA256SUMS.sealed', Buffer.from('x')),
        end,
      ]),
      size,
    );
});

test('packed with other settings, and with a pax header before a member, it passes', async () => {
  await watch(gzipSync(Buffer.concat(usual), { level: 0 }), 1000);
  await watch(gzipSync(Buffer.concat(usual), { level: 9, strategy: constants.Z_HUFFMAN_ONLY }), 1000);
  const longer = member('pax', Buffer.from(`15 size=${state.length}\n`), 'x');
  await watch(pack([...usual.slice(0, 1), longer, ...usual.slice(1)]));
  const wrong = member('pax', Buffer.from(`12 size=512\n`), 'x');
  await expect(watch(pack([...usual.slice(0, 1), wrong, ...usual.slice(1)]))).rejects.toThrow(/its archive/);
});

test('cut off at any length it does not pass', async () => {
  for (let length = 0; length < whole.length; length += 4999)
    await expect(watch(whole.subarray(0, length)), `${length} bytes`).rejects.toThrow(/^read the snapshot: /);
  await expect(watch(whole.subarray(0, -1))).rejects.toThrow(/^read the snapshot: /);
});

test('an archive that ends before its end, whole as gzip, does not pass', async () => {
  const plain = Buffer.concat(usual);
  for (let length = 0; length < plain.length; length += 7001)
    await expect(watch(gzipSync(plain.subarray(0, length))), `${length} bytes`).rejects.toThrow(/its archive/);
  await expect(watch(gzipSync(plain.subarray(0, -512)))).rejects.toThrow(/its archive ends before its end/);
});

test.each<[string, Buffer, RegExp]>([
  [
    'a state with one bit turned',
    pack([usual[0] as Buffer, member('state.bin', Buffer.from(state).fill(1, 5, 6)), ...usual.slice(2)]),
    /state.bin does not have the sum/,
  ],
  [
    'sums that leave out the state',
    pack([...usual.slice(0, 2), member('SHA256SUMS', Buffer.from(`${digest(meta)}  meta.json\n`)), ...usual.slice(3)]),
    /state.bin does not have the sum/,
  ],
  ['no sealed sums', pack(usual.toSpliced(3, 1)), /has no SHA256SUMS.sealed/],
  ['no state', pack(usual.toSpliced(1, 1)), /holds "SHA256SUMS" where state.bin is expected/],
  [
    'another member',
    pack([...usual.slice(0, 4), member('more', meta), end]),
    /holds "more" where nothing more is expected/,
  ],
  ['a link', pack([member('meta.json', meta, '2'), ...usual.slice(1)]), /something of kind "2"/],
  [
    'endless sums',
    pack([...usual.slice(0, 2), member('SHA256SUMS', Buffer.alloc(70_000)), ...usual.slice(3)]),
    /more than 65536/,
  ],
  ['bytes behind its end', Buffer.concat([whole, Buffer.from('x')]), /^read the snapshot: /],
  ['text', Buffer.from('Error taking the snapshot'), /not whole as gzip/],
  ['gzip of text', gzipSync('Error taking the snapshot'.repeat(100)), /its archive/],
])('%s does not pass', async (_what, bytes, message) => {
  await expect(watch(bytes, 1000)).rejects.toThrow(message);
});
