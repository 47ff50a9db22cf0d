// The age identities that open snapshots, from a mounted Secret's file. What they are is told to nobody.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecretKeyTask } from '../crds/rules/contract.ts';
import type { Manifest } from '../crds/rules/manifest.ts';
import { codeOf, RunError } from './errors.ts';
import type { Run } from './run.ts';

/** A file as age-keygen writes it holds some lines; more than this is none. */
const mostIdentities = 64;

function refuse({ secret, key }: SecretKeyTask, detail: string): RunError {
  return new RunError('SecretInvalid', `read Secret "${secret}": key "${key}" ${detail}`);
}

/** Secret keys, one a line; comments and empty lines are passed over. */
export async function readIdentities(run: Run, order: SecretKeyTask): Promise<string[]> {
  const text = await readFile(join(run.folders.identity, order.key), 'utf8').catch((error: unknown) => {
    throw refuse(order, codeOf(error) === 'ENOENT' ? 'is missing or empty' : `cannot be read: ${codeOf(error)}`);
  });
  const lines = text.split('\n').map((line) => line.trim());
  // All of it is struck out of what we write, whatever it turns out to be.
  for (const line of lines) run.secrets.add(line);
  const identities = lines.filter((line) => line !== '' && !line.startsWith('#'));
  if (identities.length === 0) throw refuse(order, 'is missing or empty');
  if (identities.length > mostIdentities) throw refuse(order, `has more than ${mostIdentities} lines`);
  if (identities.some((line) => line.startsWith('age1')))
    throw refuse(order, 'holds a recipient: a snapshot is opened with the secret key, AGE-SECRET-KEY-1...');
  if (!identities.every((line) => /^AGE-SECRET-KEY-(PQ-)?1[A-Z0-9]+$/.test(line)))
    throw refuse(order, 'is not what age-keygen writes: AGE-SECRET-KEY-1..., one a line');
  return identities;
}

/** The identities that a snapshot needs: none where it is not encrypted. */
export async function identitiesFor(run: Run, manifest: Manifest, order: SecretKeyTask | undefined): Promise<string[]> {
  if (manifest.encryption === 'none') return [];
  if (order === undefined)
    throw new RunError(
      'DecryptFailed',
      `open "${manifest.id}": it is encrypted to ${manifest.recipients.join(', ')} and no identity is given; name one in decryption.age.identitySecretKeyRef`,
    );
  return readIdentities(run, order);
}
