// The admission rules: old and new object in, everything that is wrong with the new one out, each with field, value and fix.
// The same list is what the webhook refuses with and what offline validation prints.
import { Ajv, type ErrorObject } from 'ajv';
import { type DatabaseBackup, schema } from '../databasebackup.gen.ts';
import { isAgeRecipient } from './bech32.ts';
import { ScheduleError } from './cron.ts';
import { parseSchedule } from './schedule.ts';
import { isZone } from './zone.ts';

export interface Finding {
  /** Path of the field, for example spec.storage.s3.bucket. */
  field: string;
  /** What stands there, shortened; absent where the field is. */
  value?: string;
  severity: 'error' | 'warning';
  message: string;
  fix: string;
}

/** One line for a person: field, value, what is wrong, what to do. */
export function sentence(finding: Finding): string {
  const value = finding.value === undefined ? '' : `${finding.value}: `;
  return `${finding.field}: ${value}${finding.message}; ${finding.fix}`;
}

type Rule = (next: DatabaseBackup, old: DatabaseBackup | undefined) => Finding[];

function show(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? 'nothing';
  } catch {
    text = 'a nest too deep to be shown';
  }
  return text.length <= 80 ? text : `${text.slice(0, 76)}..."`;
}

const error = (field: string, value: unknown, message: string, fix: string): Finding => ({
  field,
  ...(value === undefined ? {} : { value: show(value) }),
  severity: 'error',
  message,
  fix,
});

const warning = (field: string, value: unknown, message: string, fix: string): Finding => ({
  ...error(field, value, message, fix),
  severity: 'warning',
});

/** Exactly one of some members; their absence and their doubling are told apart. */
function exactlyOne(field: string, value: object, members: readonly string[]): Finding[] {
  const present = members.filter((member) => Object.hasOwn(value, member));
  if (present.length === 1) return [];
  const named = members.join(', ');
  return present.length === 0
    ? [error(field, undefined, `needs exactly one of ${named}, has none`, `add one of ${named}`)]
    : [error(field, undefined, `needs exactly one of ${named}, has ${present.join(' and ')}`, 'keep one of them')];
}

const rules: readonly Rule[] = [
  ({ metadata }) =>
    (metadata.name?.length ?? 0) <= 48
      ? []
      : [
          error(
            'metadata.name',
            metadata.name,
            'is longer than 48 characters',
            'choose a shorter name; Job names are made from it',
          ),
        ],
  ({ metadata, spec }) => {
    const zone = spec.timeZone ?? 'Etc/UTC';
    const findings: Finding[] = [];
    const zoneIsKnown = isZone(zone);
    if (!zoneIsKnown)
      findings.push(
        error('spec.timeZone', zone, 'is not a known IANA time zone', 'write a name such as Europe/Berlin or Etc/UTC'),
      );
    if (spec.schedule === undefined) return findings;
    try {
      parseSchedule(spec.schedule, zoneIsKnown ? zone : 'Etc/UTC', `${metadata.namespace ?? ''}/${metadata.name}`);
    } catch (cause) {
      if (!(cause instanceof ScheduleError)) throw cause;
      findings.push(error('spec.schedule', spec.schedule, cause.message, cause.fix));
    }
    return findings;
  },
  ({ spec }) => exactlyOne('spec.storage', spec.storage, ['s3', 'pvc']),
  ({ spec }) =>
    spec.storage.s3 === undefined
      ? []
      : exactlyOne('spec.storage.s3.auth', spec.storage.s3.auth, ['secretRef', 'default']),
  ({ spec }) => endpointRule(spec.storage.s3),
  ({ spec }) => exactlyOne('spec.encryption', spec.encryption, ['age', 'none']),
  ({ spec }) =>
    spec.encryption.none === undefined
      ? []
      : [
          warning(
            'spec.encryption.none',
            undefined,
            'snapshots are stored unencrypted',
            'set encryption.age.recipients',
          ),
        ],
  ({ spec }) =>
    (spec.encryption.age?.recipients ?? []).flatMap((recipient, index) =>
      isAgeRecipient(recipient)
        ? []
        : [
            error(
              `spec.encryption.age.recipients[${index}]`,
              recipient,
              'is not an age public key (its checksum does not fit)',
              'copy the line "public key: age1..." that age-keygen prints',
            ),
          ],
    ),
  ({ spec }) =>
    spec.retention.keepLast !== undefined || spec.retention.keepWithin !== undefined
      ? []
      : [
          error(
            'spec.retention',
            undefined,
            'keeps nothing',
            'set keepLast, keepWithin or both, for example keepLast: 3',
          ),
        ],
  ({ spec }) => levelRule(spec.compression),
  ({ spec }) =>
    Buffer.byteLength(spec.database.name) <= 63
      ? []
      : [
          error(
            'spec.database.name',
            spec.database.name,
            'is longer than 63 bytes',
            'PostgreSQL names have at most 63 bytes',
          ),
        ],
  ({ spec }) =>
    /:latest$|^[^:@]*$/.test(spec.database.image.split('/').at(-1) ?? '')
      ? [
          warning(
            'spec.database.image',
            spec.database.image,
            'its version may change under the dump',
            'name a version or a digest',
          ),
        ]
      : [],
  ({ spec }, old) => {
    // One that was stored while the webhook was away has its cluster pinned in status.
    const before = old?.spec.database.cluster ?? old?.status?.effective?.cluster;
    const after = spec.database.cluster;
    return before === undefined || after === undefined || before === after
      ? []
      : [
          error(
            'spec.database.cluster',
            after,
            `is immutable, it was ${show(before)}`,
            'create another DatabaseBackup instead',
          ),
        ];
  },
];

function endpointRule(s3: DatabaseBackup['spec']['storage']['s3']): Finding[] {
  if (s3?.endpoint === undefined) return [];
  const field = 'spec.storage.s3.endpoint';
  if (!URL.canParse(s3.endpoint))
    return [error(field, s3.endpoint, 'is not an address', 'write https://host or https://host:port')];
  if (s3.endpoint.startsWith('https://')) return [];
  return s3.insecure === true
    ? [warning(field, s3.endpoint, 'is not encrypted on the network', 'use https where the store can')]
    : [error(field, s3.endpoint, 'must start with https://', 'use https, or set insecure: true to allow http')];
}

function levelRule(compression: DatabaseBackup['spec']['compression']): Finding[] {
  const field = 'spec.compression.level';
  const level = compression?.level;
  if (level === undefined) return [];
  if (compression?.algorithm === 'none')
    return [error(field, level, 'is not allowed with algorithm none', 'remove level')];
  if (compression?.algorithm === 'gzip' && level > 9)
    return [error(field, level, 'gzip knows levels 1 to 9', 'use 1 to 9')];
  return [];
}

/** More than any maxLength of the schema. Beyond it maxLength has said enough: on a megabyte a pattern may take minutes. */
const longestMatched = 1024;

function boundedPattern(pattern: string, flags: string): { test(text: string): boolean; toString(): string } {
  const expression = new RegExp(pattern, flags);
  return {
    test: (text) => text.length > longestMatched || expression.test(text),
    toString: () => String(expression), // ajv tells one from another by it.
  };
}

let compiled: ReturnType<Ajv['compile']> | undefined;

/** The CRD's own schema as a validator, compiled at first use. */
function schemaValidator(): ReturnType<Ajv['compile']> {
  compiled ??= new Ajv({
    allErrors: true,
    strict: false,
    verbose: true,
    formats: { int32: true, int64: true, 'date-time': true },
    code: { regExp: Object.assign(boundedPattern, { code: 'boundedPattern' }) },
  }).compile(schema);
  return compiled;
}

function fromSchema(failure: ErrorObject): Finding {
  const path = failure.instancePath
    .slice(1)
    .replace(/\/(\d+)/g, '[$1]')
    .replaceAll('/', '.');
  const description: unknown = failure.parentSchema?.['description'];
  const meaning = typeof description === 'string' ? description : 'see kubectl explain';
  if (failure.keyword === 'required') {
    const missing = String(failure.params['missingProperty']);
    return error(
      path === '' ? missing : `${path}.${missing}`,
      undefined,
      'is required',
      `add it to ${path === '' ? 'the object' : path}`,
    );
  }
  if (failure.keyword === 'enum')
    return error(
      path,
      failure.data,
      'is not supported',
      `use one of ${(failure.params['allowedValues'] as unknown[]).join(', ')}`,
    );
  return error(
    path,
    failure.data,
    failure.keyword === 'pattern' ? 'is malformed' : (failure.message ?? 'is not valid'),
    meaning,
  );
}

/**
 * Everything that is wrong or risky with an object, at once.
 * @param next the object to be stored, as decoded JSON of any shape
 * @param old what is stored now, on an update
 */
export function validate(next: unknown, old?: DatabaseBackup): Finding[] {
  const check = schemaValidator();
  const spec = (value: unknown): unknown => (value as { spec?: unknown } | null)?.spec;
  // status has its own door and its own schema check.
  const ok = check({ ...(next as object | null), status: undefined });
  const findings = ok ? [] : (check.errors ?? []).map(fromSchema);
  if (next === null || typeof next !== 'object' || spec(next) === null || typeof spec(next) !== 'object')
    return findings;
  const { metadata } = next as { metadata?: unknown };
  if (metadata === undefined) findings.push(error('metadata', undefined, 'is required', 'add metadata with a name'));
  const named = { ...next, metadata: metadata ?? {} } as DatabaseBackup;
  for (const rule of rules) {
    try {
      findings.push(...rule(named, old));
    } catch (cause) {
      // A rule may stumble over a shape that the schema has named already; without such a finding it is a bug.
      if (findings.length === 0) throw cause;
    }
  }
  return findings;
}
