// What the executor tells the restore container and what it takes a failure for. The container is played by a few lines of shell, the store
// is a folder, and no database is there.
import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterEach, expect, test } from 'vitest';
import { runFiles, type Task } from '../../crds/rules/contract.ts';
import type { Restored, RestoreOrder, Skipped } from '../../crds/rules/contract-commands.ts';
import type { RunError } from '../../executor/errors.ts';
import { restore } from '../../executor/restore.ts';
import { openStorage } from '../../executor/storage/open.ts';
import { run as command } from '../rig/command.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';
import { restoreLatest } from './restore-pod.ts';
import { dump, type Stored, storeSnapshot } from './stored-snapshot.ts';

const bares: BareRun[] = [];
afterEach(async () => {
  for (const bare of bares.splice(0)) await bare.remove();
});

/** What the container does once it has a verdict, in its folder; "end CODE REASON" is its last word. */
const takesAll = `
exec 3<> ${runFiles.fifo}
cat < ${runFiles.fifo} 3>&- > got &
while [ ! -e ${runFiles.complete} ]; do sleep 0.02; done
exec 3>&-
wait
end 0 -`;
const breaksHalfWay = `head -c 10 < ${runFiles.fifo} > got; end 37 RestoreFailed`;

interface Played {
  contents?: number;
  /** Absent: no verdict is expected. */
  container?: string;
  stored?: Stored;
  /** For the snapshot that is stored. */
  order?: (id: string) => Partial<RestoreOrder>;
  task?: Partial<Task>;
  identity?: string;
}

interface Ended {
  told: Restored | Skipped | undefined;
  /** As the termination message has it. */
  failure: RunError | undefined;
  begun: boolean;
  /** Undefined while none was written. */
  verdict: string | undefined;
  got: Buffer | undefined;
}

async function play({ contents = 0, container, stored, order, task, identity }: Played): Promise<Ended> {
  const bare = await bareRun(taskFor({ kind: 'directory', claimName: 'backups' }, {}, task));
  bares.push(bare);
  const { run } = bare;
  const storage = await openStorage(run);
  const { id } = await storeSnapshot(run, storage, stored);
  storage.close();
  const folder = run.folders.run;
  await command(['mkfifo', join(folder, runFiles.fifo)]);
  await writeFile(join(folder, runFiles.facts), `identity=\ncontents=${contents}\n`);
  if (identity !== undefined) await writeFile(join(run.folders.identity, 'key.txt'), identity);
  const key = identity === undefined ? {} : { identity: { secret: 'age-identity', key: 'key.txt' } };
  const shell = `end() { echo "said by the container" > ${runFiles.error}; echo "$*" > exit.part; mv exit.part ${runFiles.exit}; exit; }
while [ ! -e ${runFiles.verdict} ]; do sleep 0.02; done
${container}`;
  const playing = container === undefined ? undefined : command(['timeout', '30', 'sh', '-c', shell], { cwd: folder });
  const ended: Ended = { told: undefined, failure: undefined, begun: false, verdict: undefined, got: undefined };
  let means = (failure: RunError): RunError => failure;
  const ear = {
    tell: (told: Restored | Skipped) => {
      ended.told = told;
    },
    begin: (worsen: typeof means) => {
      ended.begun = true;
      means = worsen;
    },
  };
  await restore(run, { ...restoreLatest, ...order?.(id), ...key }, ear).catch((error: RunError) => {
    ended.failure = means(error);
  });
  await playing;
  const there = (name: string) =>
    access(join(folder, name)).then(
      () => readFile(join(folder, name)),
      () => undefined,
    );
  return { ...ended, verdict: (await there(runFiles.verdict))?.toString(), got: await there('got') };
}

const sql = (over: Played): Played => ({
  ...over,
  task: { engine: 'mysql' },
  stored: { ...over.stored, over: { engine: 'mysql', dumpFormat: 'mysqldump-sql', identity: '' } },
});
const overwrite = (id: string) => ({
  ...({ ifNotEmpty: 'Overwrite', choice: { snapshot: id }, notAfter: '2099-01-01T00:00:00Z' } as const),
});

function expectUntouched(ended: Ended, reason: string, message: string): void {
  expect(ended).toMatchObject({ begun: false, verdict: undefined, told: undefined });
  expect(ended.failure).toMatchObject({ reason, message: expect.stringContaining(message) });
}

test('every byte arrives, and the container is told what may be there and what was dumped', async () => {
  const plain = dump(5000);
  const ended = await play({ container: takesAll, stored: { plain } });
  expect(ended.told, String(ended.failure)).toMatchObject({ outcome: 'Succeeded', size: plain.length });
  expect(ended.got).toEqual(plain);
  expect(ended.verdict).toBe('restore\nSkip\norders\npg_dump (PostgreSQL) 15.14\n');
});

test('a dump without a byte is given as such', async () => {
  const ended = await play({ container: takesAll, stored: { plain: Buffer.alloc(0) } });
  expect(ended.told, String(ended.failure)).toMatchObject({ outcome: 'Succeeded', size: 0 });
  expect(ended.got).toHaveLength(0);
});

test.each([
  ['a living database', { contents: 3, order: overwrite }],
  ['an empty one', {}],
])('a snapshot that the identity does not open costs %s nothing', async (_target, over) => {
  const recipients = [await identityToRecipient(await generateIdentity())];
  const identity = await generateIdentity();
  expectUntouched(await play(sql({ ...over, stored: { recipients }, identity })), 'DecryptFailed', recipients.join());
});

test('a dump of roles alone takes no database away', async () => {
  const over = { allDatabases: true, onlyRoles: true, database: '', dumpFormat: 'pg_dumpall-sql' } as const;
  const task = { database: { host: 'db', port: 5432, allDatabases: true } } as const;
  const ended = await play({ contents: 3, order: overwrite, task, stored: { over } });
  expectUntouched(ended, 'ConfigInvalid', 'it holds roles alone');
});

test('a small dump that is not what its manifest tells costs a living database nothing', async () => {
  const change = (bytes: Buffer) => Buffer.from(bytes).fill(1, bytes.length - 1);
  const order = (id: string) => ({ ...overwrite(id), verifyFirst: false });
  const ended = await play({ contents: 3, order, stored: { compression: 'none', change } });
  expectUntouched(ended, 'DigestMismatch', 'the stored bytes have the digest');
});

test.each<[string, Played, string]>([
  [
    'all databases into one',
    { stored: { over: { allDatabases: true, database: '', dumpFormat: 'pg_dumpall-sql' } } },
    'is a dump of all databases (pg_dumpall-sql), the target is the database "orders" (pg_dump-custom)',
  ],
  [
    'one database into all',
    { task: { database: { host: 'db', port: 5432, allDatabases: true } } },
    'is a dump of the database "orders" (pg_dump-custom), the target is all databases (pg_dumpall-sql)',
  ],
  [
    'all databases into one, of an engine with one format',
    {
      task: { engine: 'mysql' },
      stored: { over: { engine: 'mysql', dumpFormat: 'mysqldump-sql', allDatabases: true, database: '' } },
    },
    'is a dump of all databases (mysqldump-sql), the target is the database "orders" (mysqldump-sql)',
  ],
  ['another engine', { task: { engine: 'mysql' } }, 'is a dump of "postgres", the target is "mysql"'],
  ['a name of two lines', { stored: { over: { database: 'a\nb' } } }, 'names the database "a\\nb", which none can be'],
])('%s is refused before a verdict', async (_what, over, message) => {
  const order = (id: string) => ({ choice: { snapshot: id } });
  expectUntouched(await play({ ...over, order }), 'ConfigInvalid', message);
});

test('latest does not mean a dump of another kind either', async () => {
  const stored = { over: { allDatabases: true, database: '', dumpFormat: 'pg_dumpall-sql' } } as const;
  const message = 'is a dump of all databases, the target is the database "orders"';
  expectUntouched(await play({ stored }), 'ConfigInvalid', message);
  // What is there is no reason to say that nothing is.
  expectUntouched(await play({ stored, order: () => ({ ifNoSnapshot: 'Skip' }) }), 'ConfigInvalid', message);
});

test('a tool that breaks half way leaves a part behind, unless it works in one transaction', async () => {
  const broken = await play(sql({ container: breaksHalfWay }));
  expect(broken.failure).toMatchObject({ reason: 'RestoreIncomplete', message: 'said by the container' });
  const atomic = await play({ container: breaksHalfWay });
  expect(atomic.failure).toMatchObject({ reason: 'RestoreFailed', message: 'said by the container' });
  // What stood there is gone all the same.
  const emptied = await play({ container: breaksHalfWay, contents: 3, order: overwrite });
  expect(emptied.failure).toMatchObject({ reason: 'RestoreIncomplete' });
  expect(emptied.verdict).toBe('overwrite\nOverwrite\norders\npg_dump (PostgreSQL) 15.14\n');
  // Unless the container says that nothing had gone yet.
  const spared = await play({ container: 'end 31 DatabaseAuthFailed untouched', contents: 3, order: overwrite });
  expect(spared.failure).toMatchObject({ reason: 'DatabaseAuthFailed', message: 'said by the container' });
  const lost = await play({ container: 'end 31 DatabaseAuthFailed', contents: 3, order: overwrite });
  expect(lost.failure).toMatchObject({ reason: 'RestoreIncomplete' });
});

test('a target that is found filled at the last moment was not touched', async () => {
  const failed = await play(sql({ container: 'end 33 TargetNotEmpty', order: () => ({ ifNotEmpty: 'Fail' }) }));
  expect(failed.failure).toMatchObject({ reason: 'TargetNotEmpty', message: 'said by the container' });
  const skipped = await play(sql({ container: 'end 0 TargetNotEmpty' }));
  expect(skipped.told, String(skipped.failure)).toEqual({
    ...{ outcome: 'Skipped', command: 'restore', why: 'TargetNotEmpty', message: 'said by the container' },
  });
});
