// Whose the Lease of a database cluster is.
import { annotations } from './names.ts';

/** What is looked at of a Lease. */
interface HeldLease {
  metadata?: { annotations?: Record<string, string> | undefined } | undefined;
  spec?: { holderIdentity?: string | undefined } | undefined;
}

/**
 * The Job of dbbackup that holds a Lease; undefined where nobody or somebody else does. Others take the Lease by its fields alone and may
 * leave our annotations as they were: they speak only for the holder whose uid they name.
 */
export function holdingJob({ metadata, spec }: HeldLease): { name: string; uid: string } | undefined {
  const { [annotations.job]: name, [annotations.jobUid]: uid } = metadata?.annotations ?? {};
  return name === undefined || uid === undefined || uid === '' || uid !== spec?.holderIdentity
    ? undefined
    : { name, uid };
}
