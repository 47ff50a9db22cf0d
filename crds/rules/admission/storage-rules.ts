// Rules on where snapshots go and how they are packed.
import { isAgeRecipient } from '../bech32.ts';
import { refusedHost } from './address.ts';
import { error, exactlyOne, type Finding, type Rule, repeats, warning } from './finding.ts';

const one: Rule = ({ spec }) => exactlyOne('spec.storage', spec.storage, ['s3', 'pvc']);

const auth: Rule = ({ spec }) =>
  spec.storage.s3 === undefined
    ? []
    : exactlyOne('spec.storage.s3.auth', spec.storage.s3.auth, ['secretRef', 'default']);

const bucket: Rule = ({ spec }) => {
  const value = spec.storage.s3?.bucket;
  return value === undefined || !/^\d+\.\d+\.\d+\.\d+$/.test(value)
    ? []
    : [
        error(
          'spec.storage.s3.bucket',
          value,
          'looks like an IP address, which no bucket is called',
          'write the name of the bucket',
        ),
      ];
};

const endpoint: Rule = ({ spec }) => {
  const { s3 } = spec.storage;
  const field = 'spec.storage.s3.endpoint';
  if (s3?.endpoint === undefined) return [];
  const where = 'write https://host or https://host:port';
  if (!URL.canParse(s3.endpoint)) return [error(field, s3.endpoint, 'is not an address', where)];
  const url = new URL(s3.endpoint);
  // The default port of a scheme is left out of url.port, so the text is asked.
  if (/^https?:\/\/[^/?#@]*$/.test(s3.endpoint) === false)
    return [error(field, s3.endpoint, 'is more than scheme, host and port', where)];
  if (/:0*$/.test(s3.endpoint.slice(6))) return [error(field, s3.endpoint, 'names port 0 or none', where)];
  const why = refusedHost(hostOf(s3.endpoint));
  if (why !== undefined) return [error(field, s3.endpoint, `its host ${why}`, "write the store's own address")];
  if (url.protocol === 'https:') return [];
  return s3.insecure === true
    ? [warning(field, s3.endpoint, 'is not encrypted on the network', 'use https where the store can')]
    : [error(field, s3.endpoint, 'must start with https://', 'use https, or set insecure: true to allow http')];
};

/** As written, without scheme, port and brackets: URL would already have put other notations right. */
function hostOf(endpoint: string): string {
  const rest = endpoint.replace(/^https?:\/\//, '');
  const bracketed = /^\[([^\]]*)\](:\d+)?$/.exec(rest);
  return bracketed?.[1] ?? rest.replace(/:\d*$/, '');
}

const encryption: Rule = ({ spec }) => [
  ...exactlyOne('spec.encryption', spec.encryption, ['age', 'none']),
  ...(spec.encryption.none === undefined
    ? []
    : [
        warning('spec.encryption.none', undefined, 'snapshots are stored unencrypted', 'set encryption.age.recipients'),
      ]),
];

const recipients: Rule = ({ spec }) => {
  const all = spec.encryption.age?.recipients ?? [];
  const repeated = repeats(all);
  return all.flatMap((recipient, index) => {
    const field = `spec.encryption.age.recipients[${index}]`;
    const fix = 'copy the line "public key: age1..." that age-keygen prints';
    if (/^AGE-SECRET-KEY-/i.test(recipient))
      // The value is not repeated: it is the key to every snapshot.
      return [error(field, undefined, 'is a secret key, which must not be in Git', `make a new pair, and ${fix}`)];
    if (repeated.has(index)) return [error(field, recipient, 'is there twice', 'remove one of the two')];
    return isAgeRecipient(recipient)
      ? []
      : [error(field, recipient, 'is not an age public key (its checksum does not fit)', fix)];
  });
};

/** Old snapshots stay as they are: who drops a key should know that they still need it. */
const changedRecipients: Rule = ({ spec }, { old }) => {
  const before = old?.spec.encryption.age?.recipients ?? [];
  const after = spec.encryption.age?.recipients ?? [];
  const dropped = before.filter((recipient) => !after.includes(recipient));
  if (dropped.length === 0) return [];
  const message = `no longer encrypts to ${dropped.map((key) => `${key.slice(0, 12)}...`).join(', ')}; older snapshots still need it`;
  return [warning('spec.encryption', undefined, message, 'keep its identity as long as those snapshots')];
};

const level: Rule = ({ spec: { compression } }): Finding[] => {
  const field = 'spec.compression.level';
  if (compression?.level === undefined) return [];
  if (compression.algorithm === 'none')
    return [error(field, compression.level, 'is not allowed with algorithm none', 'remove level')];
  if (compression.algorithm === 'gzip' && compression.level > 9)
    return [error(field, compression.level, 'gzip knows levels 1 to 9', 'use 1 to 9')];
  return [];
};

export const storageRules: readonly Rule[] = [
  one,
  auth,
  bucket,
  endpoint,
  encryption,
  recipients,
  changedRecipients,
  level,
];
