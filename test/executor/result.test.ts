// The termination message: always within its limit, always readable, never torn.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  decodeFacts,
  decodeResult,
  encodeResult,
  type Inventory,
  resultLimit,
  type Success,
} from '../../crds/rules/contract.ts';
import { decodeReport } from '../../crds/rules/contract-commands.ts';
import { Secrets } from '../../executor/log.ts';
import { report, rewrite, say } from '../../executor/result.ts';

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

describe('a secret that is also the name of a database', () => {
  /** The id of an access key, as MinIO lets one choose it. */
  const struck = () => {
    const secrets = new Secrets();
    secrets.add('orders-db');
    return { log: pino({ enabled: false }), secrets };
  };

  test('stays in the key of what was stored: no other key leads there', async () => {
    const path = join(folder, 'termination-log');
    const key = 'shop/orders-db/20260301T010000Z-0123abcd.snap';
    report(struck(), path, { run: { ...run, key }, inventory: { ...inventory, pruneError: 'list "shop/orders-db/"' } });
    const told = decodeResult(await readFile(path, 'utf8'));
    expect(told?.run).toEqual({ ...run, key });
    expect(told?.inventory?.pruneError).toBe('list "shop/[secret]/"');
    const { id, storedSize, sha256 } = run;
    const verified = { command: 'verify', id, key, storedSize, sha256, opened: true, durationSeconds: 1 } as const;
    say(struck(), path, { run: { outcome: 'Succeeded', ...verified } });
    expect(decodeReport(await readFile(path, 'utf8'))?.run).toMatchObject({ key });
  });

  test('is struck out of messages, before they are cut', async () => {
    const path = join(folder, 'termination-log');
    const message = `${'x'.repeat(694)}orders-db`;
    report(struck(), path, { run: { outcome: 'Failed', reason: 'StorageDenied', message } });
    expect(await readFile(path, 'utf8')).toContain('x[s ...');
    say(struck(), path, {
      run: { outcome: 'Skipped', command: 'restore', why: 'NoSnapshot', message: 'of orders-db' },
    });
    expect(decodeReport(await readFile(path, 'utf8'))?.run).toMatchObject({ message: 'of [secret]' });
  });
});
