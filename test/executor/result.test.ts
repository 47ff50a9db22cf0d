// The termination message: always within its limit, always readable, never torn.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  decodeFacts,
  decodeResult,
  encodeResult,
  type Inventory,
  resultLimit,
  type Success,
} from '../../crds/rules/contract.ts';
import { rewrite } from '../../executor/result.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-result-'));
});
afterEach(() => rm(folder, { recursive: true }));

const run: Success = {
  outcome: 'Succeeded',
  id: '20260301T010000Z-0123abcd',
  key: `${'p'.repeat(400)}/shop/orders-db/20260301T010000Z-0123abcd.snap`,
  size: Number.MAX_SAFE_INTEGER,
  storedSize: Number.MAX_SAFE_INTEGER,
  sha256: 'f'.repeat(64),
  dumpStartedAt: '2026-03-01T01:00:00Z',
  durationSeconds: 86_400,
  engineVersion: 'v'.repeat(100),
  identity: '18446744073709551615/4294967295',
  encrypted: true,
};

const inventory: Required<Pick<Inventory, 'snapshots'>> & Inventory = {
  snapshots: Array.from({ length: 25 }, (_, n) => ({ id: `20260301T0100${n + 10}Z-0123abcd`, size: 2 ** 50 + n })),
  count: 1000,
  deleted: 10,
  foreign: 3,
  pruneError: 'é'.repeat(5000),
};

test('attack 14: the largest result stays within the limit and keeps the newest snapshots', () => {
  const text = encodeResult({ run, inventory });
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(resultLimit);
  const back = decodeResult(text);
  expect(back?.run).toEqual(run);
  expect(back?.inventory?.snapshots?.length).toBeGreaterThan(5);
  expect(back?.inventory?.snapshots?.[0]).toEqual(inventory.snapshots[0]);
  expect(back?.inventory?.count).toBe(1000);
});

test('attack 14: a message of any length and script is cut to the limit', () => {
  for (const message of [
    'x'.repeat(100_000),
    '漢'.repeat(50_000),
    '"\\\n\0'.repeat(30_000),
    '\u0001'.repeat(690),
    '\ud800'.repeat(200),
  ]) {
    const text = encodeResult({ run: { outcome: 'Failed', reason: 'DumpFailed', message } });
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(resultLimit);
    expect(decodeResult(text)?.run).toMatchObject({ outcome: 'Failed', reason: 'DumpFailed' });
  }
});

test('a shorter message over a longer one leaves nothing of it', async () => {
  const path = join(folder, 'termination-log');
  await writeFile(path, 'x'.repeat(5000));
  rewrite(path, '{"short":true}');
  expect(await readFile(path, 'utf8')).toBe('{"short":true}');
});

test('a file that is not there yet is made', async () => {
  const path = join(folder, 'termination-log');
  rewrite(path, 'text');
  expect(await readFile(path, 'utf8')).toBe('text');
});

test('facts that are long or hold control characters do not push the result over its limit', () => {
  const facts = decodeFacts(`startedAt=x\nserverVersion=${'\u0001"'.repeat(500)}\nidentity=${'\u001b\\'.repeat(500)}`);
  const { serverVersion: engineVersion, identity } = facts;
  const text = encodeResult({ run: { ...run, engineVersion, identity }, inventory });
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(resultLimit);
  expect(decodeResult(text)?.run.outcome).toBe('Succeeded');
});
