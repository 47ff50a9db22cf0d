// The S3 client: credentials from the Secret's files, bounded waiting, and the store's clock read off its answers.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3Task } from '../../crds/rules/contract.ts';
import { RunError } from '../errors.ts';
import type { Run } from '../run.ts';
import { readKey, readOptionalKey } from '../secret.ts';
import { type Agents, storageAgents } from './agents.ts';
import { isLoginRefused } from './s3-errors.ts';
import { checksumsOf } from './s3-settings.ts';

/** Tries of one request, the first included. The client waits longer each time, at most 20 s: together half a minute and more. */
const defaultAttempts = 10;
const connectMilliseconds = 10_000;
/** Without a byte in either direction. A request that makes progress may take as long as it wants. */
const idleMilliseconds = 60_000;
/** Credentials are read again when they are this old, and when the store refuses them: a Secret may be rotated during a long dump. */
const credentialsMilliseconds = 600_000;

export interface S3Connection {
  client: S3Client;
  clockAhead(): number | undefined;
}

function credentials(run: Run, secret: NonNullable<S3Task['secret']>): NonNullable<S3ClientConfig['credentials']> {
  return async () => {
    const sessionToken = await readOptionalKey(run, secret.name, secret.sessionToken);
    return {
      accessKeyId: await readKey(run, secret.name, secret.accessKeyId),
      secretAccessKey: await readKey(run, secret.name, secret.secretAccessKey),
      ...(sessionToken === undefined ? {} : { sessionToken }),
      expiration: new Date(Date.now() + credentialsMilliseconds),
    };
  };
}

function configure(run: Run, task: S3Task, attempts: number, agents: Agents): S3ClientConfig {
  const checksums = checksumsOf(task) === 'auto' ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED';
  return {
    region: task.region,
    forcePathStyle: task.forcePathStyle,
    ...(task.endpoint === undefined ? {} : { endpoint: task.endpoint }),
    ...(task.secret === undefined ? {} : { credentials: credentials(run, task.secret) }),
    maxAttempts: attempts,
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    // With it every part would get a connection of its own.
    expectContinueHeader: false,
    requestHandler: { connectionTimeout: connectMilliseconds, socketTimeout: idleMilliseconds, ...agents },
  };
}

/** The Date header of an answer, whatever the SDK's type of it is. */
function dateOf(response: unknown): number {
  if (typeof response !== 'object' || response === null || !('headers' in response)) return Number.NaN;
  const headers = response.headers as Record<string, string | undefined>;
  return Date.parse(headers['date'] ?? '');
}

/** Looked at once here, so that what is missing is told as such and not as a failed request. */
async function lookAtLogin(run: Run, { secret, roleArn }: S3Task): Promise<void> {
  if (secret !== undefined) {
    await readKey(run, secret.name, secret.accessKeyId);
    await readKey(run, secret.name, secret.secretAccessKey);
  }
  if (roleArn === undefined) return;
  await access(join(run.folders.cloudToken, 'token')).catch(() => {
    throw new RunError('StorageAuthFailed', `take the role "${roleArn}": the pod has no token of its service account`);
  });
}

type Login = Awaited<ReturnType<S3Client['config']['credentials']>>;

const isSame = (a: Login, b: Login): boolean =>
  a.accessKeyId === b.accessKeyId && a.secretAccessKey === b.secretAccessKey && a.sessionToken === b.sessionToken;

/** A request whose login is refused is tried once more where the Secret's files hold another one by now. */
function renewLogin({ config, middlewareStack }: S3Client): void {
  middlewareStack.add(
    (next) => async (args) => {
      const used = await config.credentials();
      try {
        return await next(args);
      } catch (error) {
        if (!isLoginRefused(error)) throw error;
        const found = await config.credentials({ forceRefresh: true }).catch(() => used);
        if (isSame(found, used)) throw error;
        return next(args);
      }
    },
    { step: 'initialize', name: 'renewLogin', priority: 'high' },
  );
}

export async function connectS3(run: Run, task: S3Task, attempts = defaultAttempts): Promise<S3Connection> {
  await lookAtLogin(run, task);
  const client = new S3Client(configure(run, task, attempts, await storageAgents(run, task)));
  if (task.secret !== undefined) renewLogin(client);
  let ahead: number | undefined;
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const date = dateOf(result.response);
      if (!Number.isNaN(date)) ahead = run.now().getTime() - date;
      return result;
    },
    { step: 'deserialize', name: 'readStoreClock', priority: 'low' },
  );
  return { client, clockAhead: () => ahead };
}
