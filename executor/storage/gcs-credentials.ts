// Who we are to Google: a service account's key from the Secret, or what the pod's surroundings give (metadata server, workload identity).
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import type { GcsTask, SecretKeyTask } from '../../crds/rules/contract.ts';
import { RunError } from '../errors.ts';
import type { Run } from '../run.ts';
import { readKey } from '../secret.ts';

const scope = 'https://www.googleapis.com/auth/devstorage.read_write';
/** Google takes no token that is valid for longer. */
const tokenSeconds = 3600;
/** A token is made anew when it has less than this left; the key is then read again, since a Secret may be rotated. */
const spareSeconds = 600;
/** A clock that is a little ahead of Google's must not make tokens of the future. */
const backdatedSeconds = 30;

/** Gives a token for the Authorization header; with `renew` not the one given before. */
export type Tokens = (renew: boolean) => Promise<string>;

interface Key {
  email: string;
  id: string;
  privateKey: KeyObject;
}

async function readServiceAccountKey(run: Run, { secret, key }: SecretKeyTask): Promise<Key> {
  const where = `read Secret "${secret}": key "${key}"`;
  const refuse = (what: string): RunError => new RunError('SecretInvalid', `${where} ${what}`);
  const text = await readKey(run, secret, key);
  let fields: Record<string, unknown>;
  try {
    fields = Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    throw refuse('is not the JSON file of a service account key');
  }
  const { type, client_email: email, private_key: pem, private_key_id: id } = fields;
  if (typeof pem === 'string') run.secrets.add(pem);
  if (type !== 'service_account')
    throw refuse('is not of the type "service_account"; other files need applicationDefault');
  if (typeof email !== 'string' || typeof pem !== 'string') throw refuse('has no client_email or no private_key');
  try {
    return { email, id: typeof id === 'string' ? id : '', privateKey: createPrivateKey(pem) };
  } catch {
    throw refuse('has a private_key that cannot be read');
  }
}

/** A token that the key's owner signs, which Google's storage takes as it is: no other service is asked (AIP-4111). */
function selfSigned({ email, id, privateKey }: Key, now: Date): string {
  const issued = Math.floor(now.getTime() / 1000) - backdatedSeconds;
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = part({ alg: 'RS256', typ: 'JWT', ...(id === '' ? {} : { kid: id }) });
  const claims = part({ iss: email, sub: email, scope, iat: issued, exp: issued + tokenSeconds });
  const signature = sign('sha256', Buffer.from(`${head}.${claims}`), privateKey).toString('base64url');
  return `${head}.${claims}.${signature}`;
}

async function fromKey(run: Run, from: SecretKeyTask): Promise<Tokens> {
  // Once here, so that a key that is missing is told as such and not as a failed request.
  let key = await readServiceAccountKey(run, from);
  let token = '';
  let madeAt = 0;
  return async (renew) => {
    const now = run.now();
    if (renew || token === '' || now.getTime() - madeAt > 1000 * (tokenSeconds - spareSeconds)) {
      if (token !== '') key = await readServiceAccountKey(run, from);
      token = selfSigned(key, now);
      madeAt = now.getTime();
      run.secrets.add(token);
    }
    return token;
  };
}

export async function gcsTokens(run: Run, { keyFile }: GcsTask): Promise<Tokens> {
  if (keyFile !== undefined) return fromKey(run, keyFile);
  const { surroundingTokens } = await import('./gcs-surroundings.ts');
  return surroundingTokens(run, scope);
}
