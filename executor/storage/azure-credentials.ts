// Who we are to Azure: an account's key, a connection string or a SAS token from the Secret, or a token of an identity. And where the
// account is, which a connection string may say.
import type { AzureTask, SecretKeyTask } from '../../crds/rules/contract.ts';
import { RunError } from '../errors.ts';
import type { Run } from '../run.ts';
import { readKey } from '../secret.ts';
import { identityTokens } from './azure-identity.ts';
import { type SharedKey, sharedKeyAuthorization } from './azure-signature.ts';
import type { HttpRequest } from './http.ts';

/** The Secret is read again when it was last read so long ago: it may be rotated during a long dump. */
const secretMilliseconds = 600_000;
/** The oldest version with all that we use; servers that stand in for Azure know it too. */
const apiVersion = '2021-12-02';

export interface AzureAccess {
  /** The account: objects are at `<account>/<container>/<key>`. */
  account: URL;
  sign(request: HttpRequest, renew: boolean): Promise<HttpRequest>;
}

type Proof = (request: HttpRequest) => HttpRequest;

/** What the Secret says, in a form that requests can be signed with, and the account's address where it says one. */
interface Login {
  prove: Proof;
  endpoint?: string;
}

function sharedKey(key: SharedKey): Proof {
  return (request) => ({
    ...request,
    headers: { ...request.headers, authorization: sharedKeyAuthorization(key, request, request.headers) },
  });
}

function sas(run: Run, token: string, refuse: (what: string) => RunError): Proof {
  const fields = new URLSearchParams(token.replace(/^\?/, ''));
  const signature = fields.get('sig');
  if (signature === null)
    throw refuse('is not a SAS token: it has no field "sig"; give the part of the address behind the "?"');
  run.secrets.add(signature);
  run.secrets.add(encodeURIComponent(signature));
  return (request) => {
    const url = new URL(request.url);
    for (const [name, value] of fields) url.searchParams.set(name, value);
    return { ...request, url };
  };
}

function accountKey(run: Run, account: string, text: string, refuse: (what: string) => RunError): Proof {
  run.secrets.add(text);
  const key = Buffer.from(text, 'base64');
  if (key.length < 32 || key.toString('base64') !== text) throw refuse('is not an account key in Base64');
  return sharedKey({ account, key });
}

/** @param text `AccountName=...;AccountKey=...;EndpointSuffix=...`, as Azure's portal shows it */
function connectionString(run: Run, task: AzureTask, text: string, refuse: (what: string) => RunError): Login {
  const fields = new Map<string, string>();
  for (const field of text.split(';')) {
    const at = field.indexOf('=');
    if (at > 0) fields.set(field.slice(0, at).trim().toLowerCase(), field.slice(at + 1).trim());
  }
  const get = (name: string): string => fields.get(name.toLowerCase()) ?? '';
  const [name, key, signature] = [get('AccountName'), get('AccountKey'), get('SharedAccessSignature')];
  if (name !== '' && name !== task.account)
    throw refuse(`is of another account than "${task.account}" of spec.storage.azure.account`);
  if (key === '' && signature === '') throw refuse('has neither AccountKey nor SharedAccessSignature');
  const suffix = get('EndpointSuffix');
  const protocol = get('DefaultEndpointsProtocol') || 'https';
  const endpoint = get('BlobEndpoint') || (suffix === '' ? '' : `${protocol}://${task.account}.blob.${suffix}`);
  // Without TLS a SAS token could be read on its way. Who wants that says so in the manifest.
  if (endpoint !== '' && task.endpoint === undefined && !/^https:\/\/[^/?#@]+(\/[^?#]*)?$/.test(endpoint))
    throw refuse(
      'names an endpoint that is not https://: set spec.storage.azure.endpoint, and insecure: true with http://',
    );
  const prove = key === '' ? sas(run, signature, refuse) : accountKey(run, task.account, key, refuse);
  return { prove, ...(endpoint === '' ? {} : { endpoint }) };
}

async function login(run: Run, task: AzureTask, kind: string, from: SecretKeyTask): Promise<Login> {
  const refuse = (what: string) =>
    new RunError('SecretInvalid', `read Secret "${from.secret}": key "${from.key}" ${what}`);
  const text = (await readKey(run, from.secret, from.key)).trim();
  if (kind === 'connectionString') return connectionString(run, task, text, refuse);
  return { prove: kind === 'sasToken' ? sas(run, text, refuse) : accountKey(run, task.account, text, refuse) };
}

function dated(run: Run, request: HttpRequest): HttpRequest {
  const headers = { ...request.headers, 'x-ms-date': run.now().toUTCString(), 'x-ms-version': apiVersion };
  return { ...request, headers };
}

/** Reads the Secret once, so that a key that is missing or of no use is told as such and not as a failed request. */
export async function azureAccess(run: Run, task: AzureTask): Promise<AzureAccess> {
  const ownEndpoint = task.endpoint ?? `https://${task.account}.blob.core.windows.net`;
  const { auth } = task;
  if (auth.kind === 'managedIdentity' || auth.kind === 'workloadIdentity') {
    const tokens = identityTokens(run, auth);
    const sign = async (request: HttpRequest, renew: boolean): Promise<HttpRequest> => {
      const { headers, ...rest } = dated(run, request);
      return { ...rest, headers: { ...headers, authorization: `Bearer ${await tokens(renew)}` } };
    };
    return { account: new URL(ownEndpoint), sign };
  }
  const { kind, secretKey } = auth;
  let found = await login(run, task, kind, secretKey);
  let readAt = run.now().getTime();
  const sign = async (request: HttpRequest, renew: boolean): Promise<HttpRequest> => {
    if (renew || run.now().getTime() - readAt > secretMilliseconds) {
      found = await login(run, task, kind, secretKey);
      readAt = run.now().getTime();
    }
    return found.prove(dated(run, request));
  };
  return { account: new URL(task.endpoint ?? found.endpoint ?? ownEndpoint), sign };
}
