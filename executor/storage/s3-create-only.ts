// Writes to S3 that never overwrite, also where the store does not know conditional writes.
import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { isMissing, nameOf, statusOf } from './s3-errors.ts';

export interface Target {
  client: S3Client;
  bucket: string;
  key: string;
}

/**
 * Sends a create-only write. A store without conditional writes still has unique keys: there the key is looked up first.
 */
export async function createOnly<T>(
  { client, bucket, key }: Target,
  send: (condition: { IfNoneMatch?: '*' }) => Promise<T>,
  taken: () => Error,
): Promise<T> {
  try {
    return await send({ IfNoneMatch: '*' });
  } catch (error) {
    if (nameOf(error) !== 'NotImplemented' && statusOf(error) !== 501) throw error;
  }
  const there = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (there !== undefined) throw taken();
  return send({});
}
