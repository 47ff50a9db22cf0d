// Who the pod's surroundings say that we are to Google: a service account of the metadata server, or of a file that the cluster's own
// machinery mounts (workload identity). A file of its own, so that its library is loaded only where it is used; imported by name, since
// a bundle knows no names of what is imported at run time.
import { GoogleAuth } from 'google-auth-library';
import { codeOf, RunError, reasonOfCode } from '../errors.ts';
import type { Run } from '../run.ts';
import type { Tokens } from './gcs-credentials.ts';

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

export function surroundingTokens(run: Run, scope: string): Tokens {
  // Without a project the library looks for one, and starts gcloud for it. Storage needs none.
  const auth = new GoogleAuth({ scopes: [scope], projectId: 'none' });
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
