// A real S3 server (versitygw, objects are files of a directory) on this host for one test file, gone after stop().
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { binary } from '../binaries.ts';
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
    return await withFreePort(async (port) => {
      const child = await startChild([program, '--quiet', '--port', `127.0.0.1:${port}`, 'posix', directory], {
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
      const stop = async () => {
        client.destroy();
        await child.stop();
        await removePlace(place);
      };
      return { endpoint, region, accessKeyId, secretAccessKey, directory, createBucket, stop };
    });
  } catch (error) {
    await removePlace(place);
    throw error;
  }
}
