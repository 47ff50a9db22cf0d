// The admission rules: each with what passes and what does not, the very field named, and all that is wrong told at once.
import { describe, expect, test } from 'vitest';
import type { DatabaseBackup } from '../../../crds/databasebackup.gen.ts';
import { type Finding, sentence, validate } from '../../../crds/rules/validate.ts';
import { recipient, smallest, withField } from '../backup.ts';

const errors = (next: unknown, old?: DatabaseBackup): Finding[] =>
  validate(next, old).filter(({ severity }) => severity === 'error');
const warnings = (next: unknown): Finding[] => validate(next).filter(({ severity }) => severity === 'warning');

test('the smallest manifest is accepted without a word', () => {
  expect(validate(smallest)).toEqual([]);
});

describe('a field is accepted', () => {
  test.each<[string, unknown]>([
    ['metadata.name', 'a'.repeat(48)],
    ['metadata.name', undefined],
    ['metadata.labels', { constructor: 'x' }],
    ['spec.schedule', undefined],
    ['spec.schedule', 'H H * * *'],
    ['spec.schedule', '@daily'],
    ['spec.timeZone', 'Europe/Berlin'],
    ['spec.startingDeadlineSeconds', 10],
    ['spec.startingDeadlineSeconds', 604_800],
    ['spec.database.host', 'orders-db.shop.svc.cluster.local'],
    ['spec.database.host', '10.0.0.1'],
    ['spec.database.host', '2001:db8::1'],
    ['spec.database.host', '::ffff:10.0.0.1'],
    ['spec.database.port', 1],
    ['spec.database.port', 65_535],
    ['spec.database.name', 'ä'.repeat(31)],
    ['spec.database.name', '$(id) `x`; rm'],
    ['spec.database.image', `example.org:5000/a/postgres@sha256:${'0'.repeat(64)}`],
    ['spec.database.cluster', 'c'.repeat(48)],
    ['spec.storage', { pvc: { claimName: 'backups', subPath: 'a/b' } }],
    ['spec.storage.pathPrefix', 'postgres/daily'],
    ['spec.storage.s3.auth', { default: {} }],
    ['spec.storage.s3.objectLock', { mode: 'COMPLIANCE', days: 3650 }],
    ['spec.storage', { gcs: { bucket: 'backups', auth: { applicationDefault: {} } } }],
    ['spec.storage', { azure: { container: 'backups', account: 'mybackups', auth: { managedIdentity: {} } } }],
    ['spec.storage.s3.endpoint', 'https://minio.example:9000'],
    ['spec.compression', { algorithm: 'gzip', level: 9 }],
    ['spec.compression', { algorithm: 'zstd', level: 19 }],
    ['spec.compression', { algorithm: 'none' }],
    ['spec.retention', { keepWithin: '336h' }],
    ['spec.retention', { keepLast: 1, keepWithin: '2w' }],
    ['status', { observedGeneration: 'status has its own door' }],
  ])('%s: %j', (path, value) => {
    expect(validate(withField(path, value))).toEqual([]);
  });
});

describe('a field is refused by name', () => {
  test.each<[path: string, value: unknown, field?: string]>([
    ['metadata.name', 'a'.repeat(49)],
    ['spec', undefined],
    ['spec.schedule', ''],
    ['spec.schedule', '60 * * * *'],
    ['spec.schedule', '0 0 30 2 *'],
    ['spec.schedule', '*'.repeat(129)],
    ['spec.timeZone', 'Mars/Phobos'],
    ['spec.timeZone', 'UTC+2'],
    ['spec.timeZone', '../../etc/passwd'],
    ['spec.suspend', 'false'],
    ['spec.startingDeadlineSeconds', 9],
    ['spec.startingDeadlineSeconds', 604_801],
    ['spec.startingDeadlineSeconds', -1],
    ['spec.startingDeadlineSeconds', 1e12],
    ['spec.database', undefined],
    ['spec.database.engine', 'oracle'],
    ['spec.database.image', ''],
    ['spec.database.image', 'postgres:16 --privileged'],
    ['spec.database.cluster', 'Orders'],
    ['spec.database.cluster', '-orders'],
    ['spec.database.host', '-h'],
    ['spec.database.host', 'a b'],
    ['spec.database.host', 'evil.example/x'],
    ['spec.database.host', 'u:p@h'],
    ['spec.database.host', '[::1]%eth0'],
    ['spec.database.host', 'a'.repeat(254)],
    ['spec.database.port', 0],
    ['spec.database.port', 65_536],
    ['spec.database.port', '5432'],
    ['spec.database.port', 5432.5],
    ['spec.database.name', '--file=/tmp/x'],
    ['spec.database.name', 'host=evil port=5432'],
    ['spec.database.name', 'postgres://u@evil/x'],
    ['spec.database.name', 'a\0b'],
    ['spec.database.name', 'a\nb'],
    ['spec.database.name', 'ä'.repeat(32)],
    ['spec.database.auth.secretRef.name', '../x'],
    ['spec.database.auth.secretRef.name', 'Orders'],
    ['spec.database.auth.secretRef.keys.password', '../../token'],
    ['spec.storage', {}],
    ['spec.storage.pvc', { claimName: 'backups' }, 'spec.storage'],
    ['spec.storage.pathPrefix', '/x'],
    ['spec.storage.pathPrefix', '../x'],
    ['spec.storage.pathPrefix', 'a//b'],
    ['spec.storage.pathPrefix', 'a/./b'],
    ['spec.storage.pathPrefix', 'a/'],
    ['spec.storage.pathPrefix', '%2e%2e/x'],
    ['spec.storage.s3.bucket', 'A-bucket'],
    ['spec.storage.s3.bucket', 'a..b'],
    ['spec.storage.s3.bucket', 'a'.repeat(64)],
    ['spec.storage.s3.auth', {}],
    ['spec.storage.s3.auth.default', {}, 'spec.storage.s3.auth'],
    ['spec.storage.s3.endpoint', 'http://minio.example:9000'],
    ['spec.storage.s3.endpoint', 'file:///etc'],
    ['spec.storage.s3.endpoint', 'https://u:p@minio.example'],
    ['spec.storage.s3.endpoint', 'https://minio.example/path'],
    ['spec.storage.s3.endpoint', 'https://minio.example:99999'],
    ['spec.storage.s3.endpoint', 'https://minio.example\r\nx'],
    ['spec.compression.algorithm', 'xz'],
    ['spec.compression.level', 0],
    ['spec.compression.level', 20],
    ['spec.compression', { algorithm: 'gzip', level: 10 }, 'spec.compression.level'],
    ['spec.compression', { algorithm: 'none', level: 1 }, 'spec.compression.level'],
    ['spec.encryption', {}],
    ['spec.encryption.none', {}, 'spec.encryption'],
    ['spec.encryption.age.recipients', []],
    ['spec.encryption.age.recipients', [recipient, recipient.replace(/.$/, 'q')], 'spec.encryption.age.recipients[1]'],
    ['spec.encryption.age.recipients', [recipient, recipient], 'spec.encryption.age.recipients[1]'],
    ['spec.retention', {}],
    ['spec.retention.keepLast', 0],
    ['spec.retention.keepLast', 10_001],
    ['spec.retention.keepLast', 2.5],
    ['spec.retention.keepWithin', '1m'],
    ['spec.retention.maxDeletesPerRun', 0],
    ['spec.job.activeDeadlineSeconds', 59],
    ['spec.job.backoffLimit', 11],
    ['spec.job.runAsUser', 0],
  ])('%s: %j', (path, value, field = path) => {
    const found = errors(withField(path, value));
    expect([...new Set(found.map((finding) => finding.field))]).toEqual([field]);
    for (const { message, fix } of found) {
      expect(message).not.toBe('');
      expect(fix).not.toBe('');
    }
  });
});

describe('the cluster', () => {
  const old = withField('spec.database.cluster', 'orders-db') as unknown as DatabaseBackup;

  test('may stay, be left out or be set for the first time', () => {
    expect(errors(old, old)).toEqual([]);
    expect(errors(smallest, old)).toEqual([]);
    expect(errors(old, smallest)).toEqual([]);
  });

  test('may not change', () => {
    const [found, ...more] = errors(withField('spec.database.cluster', 'other'), old);
    expect(found).toMatchObject({
      field: 'spec.database.cluster',
      value: '"other"',
      message: expect.stringContaining('"orders-db"'),
    });
    expect(more).toEqual([]);
  });
});

describe('a warning and no error is given', () => {
  test.each<[string, unknown, string]>([
    ['spec.encryption', { none: {} }, 'spec.encryption.none'],
    ['spec.database.image', 'postgres:latest', 'spec.database.image'],
    ['spec.database.image', 'postgres', 'spec.database.image'],
    ['spec.database.image', 'example.org:5000/postgres', 'spec.database.image'],
  ])('for %s: %j', (path, value, field) => {
    const next = withField(path, value);
    expect(warnings(next).map((finding) => finding.field)).toEqual([field]);
    expect(errors(next)).toEqual([]);
  });

  test('for an endpoint without encryption that is asked for', () => {
    const s3 = { ...smallest.spec.storage.s3, endpoint: 'http://minio:9000', insecure: true };
    const next = withField('spec.storage.s3', s3);
    expect(warnings(next).map(({ field }) => field)).toEqual(['spec.storage.s3.endpoint']);
    expect(errors(next)).toEqual([]);
  });
});

test('everything that is wrong is told at once', () => {
  const next = {
    ...smallest,
    metadata: { name: 'a'.repeat(49), namespace: 'shop' },
    spec: {
      ...smallest.spec,
      schedule: '60 * * * *',
      timeZone: 'Mars/Phobos',
      storage: {},
      encryption: { age: { recipients: [recipient.replace(/.$/, 'q')] } },
      retention: {},
      compression: { algorithm: 'gzip', level: 12 },
      database: { ...smallest.spec.database, port: 0, engine: 'oracle' },
    },
  };
  expect(
    errors(next)
      .map(({ field }) => field)
      .sort(),
  ).toEqual([
    'metadata.name',
    'spec.compression.level',
    'spec.database.engine',
    'spec.database.port',
    'spec.encryption.age.recipients[0]',
    'spec.retention',
    'spec.schedule',
    'spec.storage',
    'spec.timeZone',
  ]);
});

test('a sentence names field, value, what is wrong and what to do', () => {
  const [found] = errors(withField('spec.retention', {}));
  expect(found === undefined ? '' : sentence(found)).toBe(
    'spec.retention: keeps nothing; set at least one of keepLast, keepWithin, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly, for example keepLast: 3',
  );
  const [port] = errors(withField('spec.database.port', 0));
  expect(port === undefined ? '' : sentence(port)).toMatch(/^spec\.database\.port: 0: must be >= 1; /);
});

describe('a lock that lasts longer than retention keeps is warned of', () => {
  const now = new Date('2025-03-01T00:00:00Z');
  const said = (days: number, retention: object, schedule: string | undefined = '0 1 * * *') => {
    const locked = withField('spec.storage.s3.objectLock', { mode: 'GOVERNANCE', days });
    const object = withField('spec.retention', retention, withField('spec.schedule', schedule, locked));
    return validate(object, undefined, now).map(({ field, severity }) => `${severity} ${field}`);
  };
  const warned = ['warning spec.storage.s3.objectLock.days'];

  test.each<[number, object, string | undefined, string[]]>([
    [3, { keepLast: 3 }, undefined, []],
    [4, { keepLast: 3 }, undefined, warned],
    [4, { keepLast: 3, keepWithin: '4d' }, undefined, []],
    [5, { keepLast: 3, keepWithin: '4d' }, undefined, warned],
    [14, { keepLast: 2 }, '0 1 * * 0', []],
    [15, { keepLast: 2 }, '0 1 * * 0', warned],
  ])('%d days with %j at %s', (days, retention, schedule, expected) => {
    expect(said(days, retention, schedule)).toEqual(expected);
  });

  test('but not where nothing says how often there is a snapshot', () => {
    const locked = withField('spec.storage.s3.objectLock', { mode: 'GOVERNANCE', days: 300 });
    expect(validate(withField('spec.schedule', undefined, locked), undefined, now)).toEqual([]);
  });
});
