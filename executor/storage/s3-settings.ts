// What the task asks of every object in S3 beside its content, in S3's own fields: encryption, class, lock, checksums. Pure.
import type { ChecksumAlgorithm, ObjectLockMode, ServerSideEncryption, StorageClass } from '@aws-sdk/client-s3';
import type { S3Task } from '../../crds/rules/contract.ts';

const dayMilliseconds = 86_400_000;

/** Of the requests that begin or make an object. */
export interface ObjectSettings {
  ServerSideEncryption?: ServerSideEncryption;
  SSEKMSKeyId?: string;
  StorageClass?: StorageClass;
  ObjectLockMode?: ObjectLockMode;
  ObjectLockRetainUntilDate?: Date;
}

/** Of these and of each part. */
export interface ChecksumSettings {
  ChecksumAlgorithm?: ChecksumAlgorithm;
}

/** Many compatible stores refuse the checksums that AWS asks for. */
export function checksumsOf({ checksums, endpoint }: S3Task): 'auto' | 'required' {
  return checksums ?? (endpoint === undefined ? 'auto' : 'required');
}

/** S3 takes no object with a lock that comes without a checksum. */
export function checksumSettings(task: S3Task): ChecksumSettings {
  return checksumsOf(task) === 'auto' || task.objectLock !== undefined ? { ChecksumAlgorithm: 'CRC32' } : {};
}

/**
 * @param kind data may lie in a class that is read seldom, manifests are read by every run
 * @param now of the store, from which locks are counted
 */
export function objectSettings(task: S3Task, kind: 'data' | 'manifest', now: Date): ObjectSettings {
  const { storageClass, serverSideEncryption: encryption, objectLock: lock } = task;
  return {
    ...(storageClass === undefined || kind === 'manifest' ? {} : { StorageClass: storageClass as StorageClass }),
    ...(encryption === undefined ? {} : { ServerSideEncryption: encryption.algorithm }),
    ...(encryption?.kmsKeyId === undefined ? {} : { SSEKMSKeyId: encryption.kmsKeyId }),
    ...(lock === undefined
      ? {}
      : {
          ObjectLockMode: lock.mode,
          ObjectLockRetainUntilDate: new Date(now.getTime() + lock.days * dayMilliseconds),
        }),
  };
}
