// One table of every way a run can end: the reason a user sees, the exit code a container ends with, what it means and what to do.

export interface ReasonEntry {
  /** Exit code of the container that found it; unique, so that podFailurePolicy and the controller can read it back. */
  exitCode: number;
  /** A further pod would fail alike: podFailurePolicy ends the Job at once. */
  permanent: boolean;
  /** What happened, as the start of a sentence. */
  sentence: string;
  /** What a person does about it. */
  fix: string;
}

export const reasons = {
  ConfigInvalid: {
    exitCode: 10,
    permanent: true,
    sentence: 'The backup is set up wrongly',
    fix: 'correct the field that the message names',
  },
  SecretInvalid: {
    exitCode: 11,
    permanent: true,
    sentence: 'A Secret or one of its keys is missing or empty',
    fix: 'create the Secret with the key that the message names',
  },
  ServiceAccountNotAllowed: {
    exitCode: 32,
    permanent: true,
    sentence: 'The service account may not be used for backups',
    fix: 'create it, and give it the label dbbackup.io/backup: "allowed"',
  },
  DatabaseUnreachable: {
    exitCode: 12,
    permanent: false,
    sentence: 'The database did not answer',
    fix: 'check spec.database.host and port, the Service behind them and network policies',
  },
  DatabaseAuthFailed: {
    exitCode: 31, // Not 13: Node ends with that by itself when it waits at the top level for what never comes.
    permanent: true,
    sentence: 'The database refused the login, or the login lacks a right',
    fix: 'check user name and password in the Secret of spec.database.auth, and grant what the message names',
  },
  VersionSkew: {
    exitCode: 14,
    permanent: true,
    sentence: 'The dump tool does not fit the server',
    fix: "set spec.database.image to the server's own major version",
  },
  DumpFailed: {
    exitCode: 15,
    permanent: false,
    sentence: 'The dump did not end well',
    fix: 'read the message and the log of the container "dump"',
  },
  DumpEmpty: {
    exitCode: 16,
    permanent: false,
    sentence: 'The dump wrote nothing',
    fix: 'check that spec.database.image holds the real dump tool',
  },
  DumpStalled: {
    exitCode: 17,
    permanent: false,
    sentence: 'The dump did not start or stopped sending',
    fix: 'check that the image can be pulled, that nothing holds locks in the database, and the log of the container "dump"',
  },
  StorageUnreachable: {
    exitCode: 18,
    permanent: false,
    sentence: 'The store did not answer',
    fix: 'check the endpoint in spec.storage and network policies',
  },
  StorageAuthFailed: {
    exitCode: 19,
    permanent: true,
    sentence: 'The store refused the credentials',
    fix: 'check the Secret or the identity of spec.storage',
  },
  StorageDenied: {
    exitCode: 20,
    permanent: true,
    sentence: 'The store allows the login but not the request',
    fix: 'check that the bucket exists and that the credentials may list, read, write and delete below the prefix',
  },
  StorageFull: {
    exitCode: 21,
    permanent: false,
    sentence: 'The store has no room left',
    fix: 'make room, raise the quota or keep fewer snapshots',
  },
  UploadFailed: {
    exitCode: 22,
    permanent: false,
    sentence: 'The snapshot could not be stored',
    fix: 'read the message and the log of the container "executor"',
  },
  DigestMismatch: {
    exitCode: 23,
    permanent: false,
    sentence: 'What the store holds is not what was sent',
    fix: 'check the network and the store; the object is not used',
  },
  DeadlineExceeded: {
    exitCode: 24,
    permanent: false,
    sentence: 'The run took longer than its deadline',
    fix: 'raise spec.job.activeDeadlineSeconds or find out what is slow',
  },
  OutOfMemory: {
    exitCode: 25,
    permanent: false,
    sentence: 'A container was killed because it used too much memory',
    fix: 'look at what the container does; a dump in another image may need less',
  },
  Evicted: {
    exitCode: 26,
    permanent: false,
    sentence: 'The pod was evicted from its node',
    fix: 'see the pod for the cause; the next window tries again',
  },
  ImagePullFailed: {
    exitCode: 27,
    permanent: false,
    sentence: 'An image could not be pulled',
    fix: 'check spec.database.image and the registry',
  },
  Unschedulable: {
    exitCode: 28,
    permanent: false,
    sentence: 'The pod was not made, or no node could take it',
    fix: 'provide what the message names: room in the quota, a volume, a node',
  },
  Unknown: {
    exitCode: 29,
    permanent: false,
    sentence: 'The run ended and nobody saw how',
    fix: 'look for the Job and its pod; the next run reports what storage holds',
  },
  Canceled: {
    exitCode: 30,
    permanent: false,
    sentence: 'The run was canceled',
    fix: 'nothing; trigger another when it is wanted',
  },
  TargetNotEmpty: {
    exitCode: 33,
    permanent: true,
    sentence: 'The database to restore into is not empty',
    fix: 'restore into an empty database, or ask for ifNotEmpty: Overwrite with a snapshot and notAfter',
  },
  SnapshotNotFound: {
    exitCode: 34,
    permanent: true,
    sentence: 'The snapshot is not in storage',
    fix: 'see list-snapshots --live for what is there, and check storage, namespace, name and cluster of the source',
  },
  SnapshotAmbiguous: {
    exitCode: 35,
    permanent: true,
    sentence: 'Snapshots of more than one database could be meant',
    fix: 'name the snapshot by its id',
  },
  DecryptFailed: {
    exitCode: 36,
    permanent: true,
    sentence: 'The snapshot could not be decrypted or decompressed',
    fix: 'give the identity that belongs to one of the recipients in its manifest; if it does, take another snapshot',
  },
  RestoreFailed: {
    exitCode: 37,
    permanent: true,
    sentence: 'The restore did not end well, and the database is as it was',
    fix: 'read the message and the log of the container "restore"',
  },
  RestoreIncomplete: {
    exitCode: 38,
    permanent: true,
    sentence: 'The restore ended half way, and the database holds a part of the snapshot',
    fix: 'make the database empty and restore again; no backup is taken of it before that',
  },
  VerifyFailed: {
    exitCode: 39,
    permanent: true,
    sentence: 'The snapshot does not hold a whole dump',
    fix: 'take a new backup, and look for what changed the old one',
  },
} as const satisfies Record<string, ReasonEntry>;

export type Reason = keyof typeof reasons;

export function isReason(word: string): word is Reason {
  return Object.hasOwn(reasons, word);
}

/** The reason behind a container's exit code, where the code is one of the table's. */
export function reasonOfExitCode(code: number): Reason | undefined {
  for (const [reason, entry] of Object.entries(reasons)) if (entry.exitCode === code && isReason(reason)) return reason;
  return undefined;
}

/** Exit codes that end the Job at once, ascending: the API server takes no others in a podFailurePolicy. */
export function permanentExitCodes(): number[] {
  return Object.values(reasons)
    .filter((entry) => entry.permanent)
    .map((entry): number => entry.exitCode)
    .sort((a, b) => a - b);
}

/** One sentence for a status or a log: what happened, the detail, the fix. */
export function explain(reason: Reason, detail: string): string {
  const entry = reasons[reason];
  return `${entry.sentence}${detail === '' ? '' : `: ${detail}`}. Fix: ${entry.fix}.`;
}
