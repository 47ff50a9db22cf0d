// What dbbackup needs to know of a kind of database. One file an engine beside this one (postgres.ts, mysql.ts, mariadb.ts, redis.ts,
// mongodb.ts, openbao.ts, command.ts), each listed in table.ts once it is there; script.ts puts the shell below into its frame.

/** Watches a dump pass and knows whether it is whole. One that has to unpack answers with promises; each is awaited before the next call. */
export interface EndMarker {
  /** Throws as soon as the bytes cannot be a dump. Needs nothing of the chunk once it has returned: its memory is used again. */
  push(chunk: Uint8Array): void | Promise<void>;
  /** Throws when more should have come. */
  end(): void | Promise<void>;
}

/** What one dump takes: `name` is one database, `allDatabases` all of the server; engines without databases have neither. */
export interface Scope {
  name?: string;
  allDatabases?: true;
}

/** The database as a run knows it. Holds no secret. */
export interface DatabaseTask extends Scope {
  host: string;
  /** 0 where the engine has no default and the manifest names none. */
  port: number;
  /** Engine command only: reads a dump on its standard input and puts it back. */
  restoreCommand?: string[];
}

/** Absent: what the engine's own client does by itself. */
export type TlsMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

/** How the dump container gets in, as environment.ts encodes it. Names only; values come as files. */
export interface Access {
  /** Keys by what they hold (username, password, token): `DBBACKUP_USERNAME_KEY` and so on. Absent: no login. */
  secret?: { name: string; keys: Record<string, string> };
  /** OpenBao: the role and the mount that take the service account token of paths.databaseToken. */
  jwt?: { role: string; mount: string };
  /** `authorities` are the words for a message, such as `ConfigMap "orders-ca", key "ca.crt"`; absent: none are given. */
  tls?: { mode: TlsMode; authorities?: string };
}

/** A restore with the engine's stock tools. */
export interface ByHand {
  /** Programs that it needs, beside those that unpack. */
  tools: string[];
  /** POSIX shell lines that run before anything is downloaded: the target's variables are set, it can be reached, it is empty. */
  checks: string[];
  /**
   * POSIX shell, one command: restores the file "$dump" into the target that the client's own variables name. Never the source by default.
   * A value of the manifest is one word, by quote.ts.
   */
  command: string;
  /** Shell text for the end of "restored snapshot x into ...". It stands in double quotes. */
  target: string;
  /** Lines that a person fills in before the restore. */
  exports: string[];
  /** What to try when the restore itself fails. */
  fix: string;
}

export interface Engine {
  /** Whether spec.database needs exactly one of name and allDatabases, or may have neither. */
  hasDatabases: boolean;
  /** 0 where there is none. */
  defaultPort: number;
  /** Default keys of auth.secretRef, by what they hold; empty where the engine takes no secretRef or reads keys of its own choice. */
  secretKeys: Readonly<Record<string, string>>;
  /** Those of secretKeys that may be missing in the Secret. */
  optionalKeys: readonly string[];
  /** Whether spec.database.auth may be absent: there are servers without a login. */
  mayLackLogin: boolean;
  /** Format of the dump, for the manifest. */
  dumpFormat(scope: Scope): string;
  /** A new watcher for one dump. */
  endMarker(scope: Scope): EndMarker;
  /** Variables of the dump container that hold values from the manifest; the script never contains them. Names that no shell interprets. */
  variables(database: DatabaseTask): { name: string; value: string }[];
  /** Options that spec.database.extraArgs may name, each with its leading dashes, and whether it takes a value (`--option=value`). */
  allowedArguments(scope: Scope): Readonly<Record<string, boolean>>;
  /**
   * POSIX shell, run with `set -u` by the frame in script.ts. It defines three functions:
   * - `log_in`: credentials from the files `$KEYS/$DBBACKUP_<NAME>_KEY`, checks with `need KEY` or `have KEY`; TLS from `$DBBACKUP_TLS_MODE` (empty: not
   *   set) and `$AUTHORITIES` (a file of certificates; empty: none); versions of tool and server fit; facts by `tell serverVersion|toolVersion|identity|only TEXT`. It
   *   ends with `refuse CODE REASON SENTENCE` when anything is wrong. Also run before a restore.
   * - `preflight ARGUMENT...`: the login can read what will be dumped; what it lacks is named (DatabaseAuthFailed). Given the same arguments
   *   as dump. Not run before a restore.
   * - `dump ARGUMENT...`: the dump to standard output, nothing else; complaints to standard error; not 0 when it failed. The
   *   arguments are spec.database.extraArgs (engine command: the command).
   * At hand: `$TEMPORARY` (a private folder of 64 MiB), `$TEMPORARY/stderr` (shown when the dump fails), `$TOKEN` (file of the projected service account
   * token), the functions above, and the variables of `variables` and environment.ts. A secret is never an argument of a program.
   */
  shell: string;
  /**
   * POSIX shell, placed after `shell` by restoreScript. It defines four functions:
   * - `contents`: prints how many things there are in the target that a restore would meet; 0 means that it is empty. Not 0 as exit code: it
   *   cannot tell. Asked twice: at the beginning and right before `restore`.
   * - `can_restore`: ends with `refuse` when the restore cannot work: a program is missing, the login lacks a right, the tool is older than the dump.
   *   Called when the target is about to be cleared or, as it is empty, restored into; `$verdict` is `overwrite` or `restore`.
   * - `clear`: empties the target; only called for ifNotEmpty Overwrite. It calls `touches` before the first thing that it destroys, and `spares`
   *   when that did not come about; what fails before leaves the target as it was, and is told so. It may leave both to `restore`.
   * - `restore ARGUMENT...`: reads the whole dump from standard input and puts it back; not 0 when it failed. The arguments are those of
   *   the restore (engine command: the restoreCommand).
   * At hand as well, but not in `contents`: `$verdict`, `$DBBACKUP_IF_NOT_EMPTY`, `$dumped_database`, the name of the database that was dumped, and
   * `$dumped_tool`, the version of the tool that dumped it (empty where nobody knows); `major VERSION` gives its first number.
   */
  restoreShell: string;
  byHand(database: Scope & { restoreCommand?: string[] }): ByHand;
}
