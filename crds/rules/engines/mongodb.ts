// MongoDB: one database or all of a server as an archive of mongodump, uncompressed (the stream is compressed later).
import type { ByHand, Engine, Scope } from './engine.ts';
import { mongodbArchive } from './mongodb-archive.ts';
import { hasOplog, mongodbRestore, mongodbShell } from './mongodb-shell.ts';

/** What may be chosen: which collections are dumped, from which member and how. Not the server, the login, the format or the file. */
const ofBoth = { '--numParallelCollections': true, '--readPreference': true, '--forceTableScan': false };
const ofOne = {
  ...ofBoth,
  ...{ '--collection': true, '--excludeCollection': true, '--excludeCollectionsWithPrefix': true },
  ...{ '--dumpDbUsersAndRoles': false },
};
const ofAll = { ...ofBoth, '--oplog': false };

const stop = (problem: string, fix: string): string =>
  `{ printf '%s\\n' "restore stopped: ${problem}; fix: ${fix}" >&2; exit 1; }`;

const isAll = (scope: Scope): boolean => scope.allDatabases === true;

/** Counts collections in mongosh, which is given the address by the same file as mongorestore. */
const counting = (name: string): string =>
  `const uri = require("fs").readFileSync(process.env.MONGO_CONFIG, "utf8").match(/^uri: *.?(mongodb[^ \\n"\\x27]*)/m)[1]; const server = connect(uri); let found = 0; for (const { name } of server.adminCommand({ listDatabases: 1, nameOnly: true }).databases) if (${name}) found += server.getSiblingDB(name).getCollectionNames().length; print(found)`;

function byHand(scope: Scope): ByHand {
  const own = isAll(scope) ? '!["admin", "config", "local"].includes(name)' : 'name === process.env.MONGO_DATABASE';
  return {
    tools: ['mongorestore', 'mongosh'],
    checks: [
      ': "${MONGO_CONFIG:?set MONGO_CONFIG to a file with the line uri: \\"mongodb://user:password@host:27017/?authSource=admin\\", readable by you alone}"',
      ...(isAll(scope)
        ? []
        : [`MONGO_DATABASE='${(scope.name ?? '').replaceAll("'", "'\\''")}'`, 'export MONGO_DATABASE']),
      'export MONGO_CONFIG',
      `collections=$(mongosh --nodb --quiet --norc --eval '${counting(own)}') || ${stop('cannot log in to the server that $MONGO_CONFIG names', 'correct the uri in it')}`,
      `[ "$collections" = 0 ] || [ "\${DBBACKUP_RESTORE_NONEMPTY:-}" = 1 ] || ${stop('the target holds $collections collections', 'drop them, restore into another server, or set DBBACKUP_RESTORE_NONEMPTY=1 to restore beside them')}`,
    ],
    command: `mongorestore --config="$MONGO_CONFIG" --archive="$dump" --stopOnError $(head -c 16777216 "$dump" | ${hasOplog} && echo --oplogReplay) \${MONGORESTORE_ARGS:-}`,
    target: 'the server that $MONGO_CONFIG names',
    exports: [
      'export MONGO_CONFIG=...   # a file with the line uri: "mongodb://user:password@host:27017/?authSource=admin"',
    ],
    fix: 'look at the message above; the target holds a part of the dump now: begin again with an empty one',
  };
}

export const mongodb: Engine = {
  hasDatabases: true,
  defaultPort: 27017,
  secretKeys: { username: 'username', password: 'password' },
  optionalKeys: [],
  mayLackLogin: true,
  dumpFormat: () => 'mongodump-archive',
  endMarker: mongodbArchive,
  variables: ({ host, port, name }) => [
    { name: 'DBBACKUP_HOST', value: host },
    { name: 'DBBACKUP_PORT', value: String(port) },
    { name: 'DBBACKUP_DATABASE', value: name ?? '' },
    { name: 'LC_ALL', value: 'C' },
  ],
  allowedArguments: (scope) => (isAll(scope) ? ofAll : ofOne),
  shell: mongodbShell,
  restoreShell: mongodbRestore,
  byHand,
};
