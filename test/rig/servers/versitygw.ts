// A real S3 server (versitygw, objects are files of a directory) on this host for one test file, gone after stop().
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { binary } from '../binaries.ts';
import type { Certificate } from '../cluster/certificates.ts';
import { run } from '../command.ts';
import type { Log } from '../progress.ts';
import { startChild } from './child.ts';
import { newPlace, removePlace, untilReady, withFreePort } from './place.ts';

export interface Versitygw {
  endpoint: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Where the objects are: `<directory>/<bucket>/<key>`. */
  directory: string;
  /** With all rights, for what the tests themselves ask of the server. */
  client: S3Client;
  /** At least three characters, as everywhere in S3. One with a lock has versions. */
  createBucket(name: string, options?: { lock?: boolean }): Promise<void>;
  /** A user who may do nothing yet; what a bucket's policy gives it, it may. Resolves to its secret access key. */
  createUser(accessKeyId: string): Promise<string>;
  /** Another login: an admin may do everything, a user only what is granted. */
  addUser(user: { access: string; secret: string; role: 'admin' | 'user' }): Promise<void>;
  removeUser(access: string): Promise<void>;
  stop(): Promise<void>;
}

export interface VersitygwOptions {
  log: Log;
  /** It then speaks TLS with this certificate, which must be good for 127.0.0.1. */
  certificate?: Certificate;
}

const isOurs = (server: unknown): boolean => server === 'VERSITYGW';

/** Any answer of its own will do, without credentials it is "access denied"; somebody else may answer at its port. */
function answers(endpoint: string): Promise<boolean> {
  if (!endpoint.startsWith('https:'))
    return fetch(endpoint).then(
      ({ headers }) => isOurs(headers.get('server')),
      () => false,
    );
  return new Promise((done) => {
    const asking = request(endpoint, { rejectUnauthorized: false }, (answer) => {
      answer.resume();
      done(isOurs(answer.headers.server));
    });
    asking.on('error', () => done(false)).end();
  });
}

/** Its folders, beside each other: objects, the versions that are not the newest, users. */
async function makeFolders(place: string): Promise<{ objects: string; versions: string; users: string }> {
  const folders = { objects: join(place, 'objects'), versions: join(place, 'versions'), users: join(place, 'users') };
  for (const folder of Object.values(folders)) await mkdir(folder);
  return folders;
}

export async function startVersitygw({ log, certificate }: VersitygwOptions): Promise<Versitygw> {
  const program = await binary('versitygw', log);
  const place = await newPlace('versitygw');
  const region = 'us-east-1';
  const accessKeyId = 'rig';
  const secretAccessKey = randomBytes(16).toString('hex');
  try {
    const { objects, versions, users } = await makeFolders(place);
    const tls = certificate === undefined ? [] : ['--cert', certificate.cert, '--key', certificate.key];
    return await withFreePort(async (port) => {
      const options = ['--quiet', ...tls, '--port', `127.0.0.1:${port}`, '--iam-dir', users];
      const child = await startChild([program, ...options, 'posix', '--versioning-dir', versions, objects], {
        env: { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey, VGW_REGION: region },
        cwd: place,
      });
      const endpoint = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
      await untilReady('versitygw', child, () => answers(endpoint));
      const client = new S3Client({
        endpoint,
        region,
        forcePathStyle: true,
        credentials: { accessKeyId, secretAccessKey },
        ...(certificate === undefined
          ? {}
          : { requestHandler: { httpsAgent: new Agent({ ca: await readFile(certificate.cert) }) } }),
      });
      const createBucket = async (name: string, { lock = false }: { lock?: boolean } = {}) => {
        await client.send(new CreateBucketCommand({ Bucket: name, ...(lock && { ObjectLockEnabledForBucket: true }) }));
      };
      const insecure = certificate === undefined ? [] : ['--allow-insecure'];
      const admin = (...args: string[]) =>
        run([program, 'admin', '--endpoint-url', endpoint, ...insecure, ...args], {
          env: { ADMIN_ACCESS_KEY_ID: accessKeyId, ADMIN_SECRET_ACCESS_KEY: secretAccessKey, ADMIN_REGION: region },
        });
      const addUser = async (user: { access: string; secret: string; role: string }) => {
        await admin('create-user', '--access', user.access, '--secret', user.secret, '--role', user.role);
      };
      const createUser = async (access: string) => {
        const secret = randomBytes(16).toString('hex');
        await addUser({ access, secret, role: 'user' });
        return secret;
      };
      const removeUser = async (access: string) => {
        await admin('delete-user', '--access', access);
      };
      const stop = async () => {
        client.destroy();
        await child.stop();
        await removePlace(place);
      };
      const login = { accessKeyId, secretAccessKey };
      const logins = { createUser, addUser, removeUser };
      return { endpoint, region, ...login, directory: objects, client, createBucket, ...logins, stop };
    });
  } catch (error) {
    await removePlace(place);
    throw error;
  }
}
