// What dbbackup needs to know of a kind of database.

/** Watches a dump pass and knows whether it is whole. */
export interface EndMarker {
  /** Throws as soon as the bytes cannot be a dump. */
  push(chunk: Uint8Array): void;
  /** Throws when more should have come. */
  end(): void;
}

export interface Engine {
  /** Format of the dump, for the manifest. */
  dumpFormat: string;
  /** A new watcher for one dump. */
  endMarker(): EndMarker;
  /** Variables of the dump container that hold values from the manifest; the script never contains them. */
  variables(database: { host: string; port: number; name: string }): { name: string; value: string }[];
  /** Options that spec.database.extraArgs may name, and whether each takes a value. */
  allowedArguments: Record<string, boolean>;
  /** Default keys of the Secret. */
  secretKeys: { username: string; password: string };
  /**
   * POSIX shell. Defines `log_in` (credentials from `$KEYS`, facts into `$RUN/facts`, or `refuse`) and `dump` (given the extra arguments: the dump to standard
   * output, nothing else), which the frame in script.ts calls.
   */
  shell: string;
  /** POSIX shell lines that check the target's variables before anything is downloaded. */
  restoreChecks: string[];
  /** POSIX shell line that restores the file "$dump" into the target of the client's own variables. */
  restoreCommand: string;
  /** Programs that the restore needs. */
  restoreTools: string[];
}
