// Who we are to Google: a service account's key from the Secret, or what the pod's surroundings give (metadata server, workload identity).
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import type { GcsTask, SecretKeyTask } from '../../crds/rules/contract.ts';
import { codeOf, RunError, reasonOfCode } from '../errors.ts';
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

/** The HTTP status that a failed request of the library carries, 0 where it has none. */
function statusOf(error: unknown): number {
  if (!(error instanceof Error)) return 0;
  const { status } = error as { status?: unknown };
  return typeof status === 'number' ? status : statusOf(error.cause);
}

function identityError(error: unknown): RunError {
  const doing = "get a token from the pod's surroundings (application default credentials)";
  const status = statusOf(error);
  const code = codeOf(error);
  const down = status >= 500 || (status === 0 && reasonOfCode(code) === 'StorageUnreachable');
  const what = status > 0 ? `HTTP ${status}` : code || 'no credentials were found';
  const fix = 'bind the service account of the Job to one of Google, or name a key with serviceAccountKeySecretKeyRef';
  return new RunError(down ? 'StorageUnreachable' : 'StorageAuthFailed', `${doing}: ${what}; ${fix}`, { cause: error });
}

async function fromSurroundings(run: Run): Promise<Tokens> {
  const { GoogleAuth } = await import('google-auth-library');
  const auth = new GoogleAuth({ scopes: [scope] });
  return async (renew) => {
    try {
      const client = await auth.getClient();
      if (renew) client.credentials = {};
      const { token } = await client.getAccessToken();
      if (typeof token !== 'string' || token === '') throw new Error('no token came');
      run.secrets.add(token);
      return token;
    } catch (error) {
      throw identityError(error);
    }
  };
}

export async function gcsTokens(run: Run, { keyFile }: GcsTask): Promise<Tokens> {
  return keyFile === undefined ? fromSurroundings(run) : fromKey(run, keyFile);
}
