// A real S3 server (versitygw, objects are files of a directory) on this host for one test file, gone after stop().
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { binary } from '../binaries.ts';
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
  /** At least three characters, as everywhere in S3. */
  createBucket(name: string): Promise<void>;
  /** Another login: an admin may do everything, a user only what is granted. */
  addUser(user: { access: string; secret: string; role: 'admin' | 'user' }): Promise<void>;
  removeUser(access: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startVersitygw({ log }: { log: Log }): Promise<Versitygw> {
  const program = await binary('versitygw', log);
  const place = await newPlace('versitygw');
  const directory = join(place, 'objects');
  const region = 'us-east-1';
  const accessKeyId = 'rig';
  const secretAccessKey = randomBytes(16).toString('hex');
  try {
    await mkdir(directory);
    const logins = join(place, 'logins');
    await mkdir(logins);
    return await withFreePort(async (port) => {
      const flags = ['--quiet', '--port', `127.0.0.1:${port}`, '--iam-dir', logins];
      const child = await startChild([program, ...flags, 'posix', directory], {
        env: { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey, VGW_REGION: region },
        cwd: place,
      });
      const endpoint = `http://127.0.0.1:${port}`;
      // Without credentials it answers "access denied", which is an answer.
      const ready = () =>
        fetch(endpoint).then(
          () => true,
          () => false,
        );
      await untilReady('versitygw', child, ready);
      const client = new S3Client({
        endpoint,
        region,
        forcePathStyle: true,
        credentials: { accessKeyId, secretAccessKey },
      });
      const createBucket = async (name: string) => {
        await client.send(new CreateBucketCommand({ Bucket: name }));
      };
      const admin = (...args: string[]) =>
        run([program, 'admin', '--endpoint-url', endpoint, ...args], {
          env: { ADMIN_ACCESS_KEY_ID: accessKeyId, ADMIN_SECRET_ACCESS_KEY: secretAccessKey, ADMIN_REGION: region },
        });
      const addUser = async (user: { access: string; secret: string; role: string }) => {
        await admin('create-user', '--access', user.access, '--secret', user.secret, '--role', user.role);
      };
      const removeUser = async (access: string) => {
        await admin('delete-user', '--access', access);
      };
      const stop = async () => {
        client.destroy();
        await child.stop();
        await removePlace(place);
      };
      const login = { endpoint, region, accessKeyId, secretAccessKey };
      return { ...login, directory, createBucket, addUser, removeUser, stop };
    });
  } catch (error) {
    await removePlace(place);
    throw error;
  }
}
