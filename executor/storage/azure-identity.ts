// Tokens of Azure's identities: of a managed one from the metadata service of the node, of a workload's from Microsoft Entra in exchange
// for a token of the Job's service account. Two requests, for which a library of 48 MB is too much.
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { join } from 'node:path';
import type { AzureTask } from '../../crds/rules/contract.ts';
import { codeOf, RunError, reasonOfCode } from '../errors.ts';
import type { Run } from '../run.ts';
import type { HttpAnswer } from './http.ts';
import { type Ask, HttpClient, HttpError } from './http-client.ts';

type Identity = Extract<AzureTask['auth'], { kind: 'managedIdentity' | 'workloadIdentity' }>;

const resource = 'https://storage.azure.com';
const metadataHost = 'http://169.254.169.254';
const authorityHost = 'https://login.microsoftonline.com';
/** Requests for one token. Beside waits of some seconds this covers a metadata service that is being updated. */
const tokenAttempts = 6;
/** A token is asked for anew when it has less than this left. */
const spareMilliseconds = 300_000;

const uuid = /^[0-9a-fA-F-]{1,64}$/;

/** What the codes of Entra mean for who sets this up. */
const hints: Record<string, string> = {
  AADSTS700016: ', the client id belongs to no application of the tenant',
  AADSTS90002: ', the tenant does not exist',
  AADSTS70021: ', no federated credential of the identity names this service account and issuer',
  AADSTS700211: ', no federated credential of the identity names this issuer',
  AADSTS700212: ', no federated credential of the identity names this audience',
  AADSTS700213: ', no federated credential of the identity names this service account',
  AADSTS700024: ", the token's time has not come or is over: compare the clocks",
  invalid_request: ', the node has no such identity: assign it, or correct clientId',
};

/** The first of Entra's numbers, else the OAuth error. Both are codes; the description is text and not read. */
function errorOf(_answer: HttpAnswer, body: string): string {
  try {
    const { error, error_codes: codes } = JSON.parse(body) as { error?: unknown; error_codes?: unknown[] };
    const [number] = Array.isArray(codes) ? codes : [];
    if (typeof number === 'number') return `AADSTS${number}`;
    return typeof error === 'string' ? error : '';
  } catch {
    return '';
  }
}

function managedRequest(run: Run, clientId: string | undefined): Ask {
  const url = new URL(
    '/metadata/identity/oauth2/token',
    run.environment['AZURE_POD_IDENTITY_AUTHORITY_HOST'] || metadataHost,
  );
  url.searchParams.set('api-version', '2018-02-01');
  url.searchParams.set('resource', `${resource}/`);
  if (clientId !== undefined) url.searchParams.set('client_id', clientId);
  return { method: 'GET', url, headers: { metadata: 'true' } };
}

/** With both ids the token that our own Job mounts, else the one that the cluster's webhook mounts. */
async function workloadRequest(
  run: Run,
  { clientId, tenantId }: { clientId?: string; tenantId?: string },
): Promise<Ask> {
  const { environment } = run;
  const given = {
    client: clientId ?? environment['AZURE_CLIENT_ID'],
    tenant: tenantId ?? environment['AZURE_TENANT_ID'],
  };
  const { client = '', tenant = '' } = given;
  if (!uuid.test(client) || !/^[0-9A-Za-z.-]{1,253}$/.test(tenant))
    throw new RunError(
      'ConfigInvalid',
      'log in with workload identity: no client id or no tenant id: set clientId and tenantId in spec.storage.azure.auth, or annotate the service account and install the webhook of Azure Workload Identity',
    );
  const own = join(run.folders.cloudToken, 'token');
  const file =
    clientId !== undefined && tenantId !== undefined ? own : (environment['AZURE_FEDERATED_TOKEN_FILE'] ?? own);
  const assertion = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new RunError('StorageAuthFailed', `read the token of the service account: ${codeOf(error)}`, {
      cause: error,
    });
  });
  run.secrets.add(assertion.trim());
  const form = new URLSearchParams({
    client_id: client,
    scope: `${resource}/.default`,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion.trim(),
    grant_type: 'client_credentials',
  });
  return {
    method: 'POST',
    url: new URL(`/${tenant}/oauth2/v2.0/token`, environment['AZURE_AUTHORITY_HOST'] || authorityHost),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: [Buffer.from(form.toString())],
  };
}

/** While the metadata service is being updated it knows nothing of itself: 404 and 410 pass. */
function asPassing(error: unknown): never {
  if (error instanceof HttpError && [404, 410].includes(error.status)) throw new HttpError(503, error.error);
  throw error;
}

function identityError(error: unknown, kind: Identity['kind']): RunError {
  if (error instanceof RunError) return error;
  const doing = `get a token with ${kind}`;
  if (error instanceof HttpError) {
    const down = error.status >= 500 || error.status === 429;
    const fallback = kind === 'managedIdentity' ? ', look whether the node has this identity' : '';
    const hint =
      kind === 'workloadIdentity' && error.error === 'invalid_request' ? '' : (hints[error.error] ?? fallback);
    const reason = down ? 'StorageUnreachable' : 'StorageAuthFailed';
    return new RunError(reason, `${doing}: ${error.message}${hint}`, { cause: error });
  }
  const code = codeOf(error);
  return new RunError(reasonOfCode(code) ?? 'StorageAuthFailed', `${doing}: ${code || 'no token came'}`, {
    cause: error,
  });
}

interface Token {
  text: string;
  endsAt: number;
}

/** Of both services: the token, and in seconds how long it holds; the metadata service writes numbers as texts. */
function decodeToken(body: Buffer, now: number): Token {
  const { access_token: text, expires_in: seconds } = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
  if (typeof text !== 'string' || text === '') throw new Error('no token came');
  return { text, endsAt: now + 1000 * (Number(seconds) || 0) };
}

/** Gives a token for the Authorization header; with `renew` not the one given before. */
export function identityTokens(run: Run, identity: Identity): (renew: boolean) => Promise<string> {
  let token: Token | undefined;
  const sign = async (request: Ask) => request;
  const ask = async (): Promise<Token> => {
    // No connection is kept: the next token is an hour away. The addresses are ours and not the manifest's.
    const agents = { httpAgent: new HttpAgent(), httpsAgent: new HttpsAgent() };
    const client = new HttpClient(agents, { sign, errorOf }, run.now, tokenAttempts);
    try {
      const { clientId } = identity;
      const request =
        identity.kind === 'managedIdentity' ? managedRequest(run, clientId) : await workloadRequest(run, identity);
      const asking = () => client.read({ ...request, attempts: 1 }).catch(asPassing);
      const { body } = await client.retry(asking, { attempts: tokenAttempts });
      return decodeToken(body, run.now().getTime());
    } catch (error) {
      throw identityError(error, identity.kind);
    } finally {
      client.close();
    }
  };
  return async (renew) => {
    if (renew || token === undefined || token.endsAt - run.now().getTime() < spareMilliseconds) token = await ask();
    run.secrets.add(token.text);
    return token.text;
  };
}
