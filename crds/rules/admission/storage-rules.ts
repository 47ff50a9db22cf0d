// Rules on how snapshots are packed.
import { isAgeRecipient } from '../bech32.ts';
import { error, exactlyOne, type Finding, type Rule, repeats, warning } from './finding.ts';

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

export const storageRules: readonly Rule[] = [encryption, recipients, changedRecipients, level];
