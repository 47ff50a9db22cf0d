// Rules on the database: where it is, what may be told to its dump tool, and the name that never moves.
import { engines } from '../engines/table.ts';
import { refusedHost } from './address.ts';
import { error, type Rule, show, warning } from './finding.ts';

const host: Rule = ({ spec }) => {
  const why = refusedHost(spec.database.host);
  return why === undefined
    ? []
    : [error('spec.database.host', spec.database.host, why, "write the server's DNS name or address")];
};

const name: Rule = ({ spec }) => {
  const value = spec.database.name;
  if (value === undefined) return [];
  if (Buffer.byteLength(value) > 63)
    return [error('spec.database.name', value, 'is longer than 63 bytes', 'use a shorter name')];
  if (/:\/\/|=/.test(value))
    return [error('spec.database.name', value, 'is a connection string', 'write the plain name')];
  return value.startsWith('-')
    ? [error('spec.database.name', value, 'starts with -, as an option does', 'write the plain name')]
    : [];
};

/** What is dumped: one of the databases, all of them, or everything where there are none. */
const scope: Rule = ({ spec: { database } }) => {
  const { engine, name, allDatabases } = database;
  const given = [name, allDatabases].filter((value) => value !== undefined).length;
  if (engines[engine].hasDatabases) {
    if (given === 1) return [];
    const fix = 'write name, or allDatabases: true';
    if (given === 0) return [error('spec.database.name', name, 'is required without allDatabases', fix)];
    return [error('spec.database.name', name, 'is there beside allDatabases', fix)];
  }
  const why = `is not allowed with ${engine}, whose dump takes everything`;
  return [
    ...(name === undefined ? [] : [error('spec.database.name', name, why, 'remove it')]),
    ...(allDatabases === undefined ? [] : [error('spec.database.allDatabases', allDatabases, why, 'remove it')]),
  ];
};

/** How the audiences of the API server begin where nobody chose others. */
const apiServer = 'https://kubernetes.default';

const login: Rule = ({ spec: { database } }) => {
  const { engine, auth } = database;
  if (auth === undefined)
    return engines[engine].mayLackLogin
      ? []
      : [error('spec.database.auth', auth, `is required with ${engine}`, 'name the Secret of the login')];
  const { secretRef, jwt, tokenSecretKeyRef } = auth;
  if ([secretRef, jwt, tokenSecretKeyRef].filter((way) => way !== undefined).length !== 1)
    return [
      error(
        'spec.database.auth',
        auth,
        'needs exactly one of secretRef, jwt, tokenSecretKeyRef',
        'keep the one that is meant',
      ),
    ];
  const ofOpenbao = secretRef === undefined;
  if (ofOpenbao !== (engine === 'openbao'))
    return [
      error(
        'spec.database.auth',
        auth,
        `does not fit ${engine}`,
        ofOpenbao ? 'use secretRef' : 'use jwt or tokenSecretKeyRef',
      ),
    ];
  if (jwt?.audience?.startsWith(apiServer) === true)
    return [
      error(
        'spec.database.auth.jwt.audience',
        jwt.audience,
        'is that of the API server: OpenBao could use the token there',
        'choose another, such as openbao, and let the role expect it',
      ),
    ];
  return engine === 'command' && secretRef?.keys !== undefined
    ? [
        error(
          'spec.database.auth.secretRef.keys',
          secretRef.keys,
          'is not allowed with engine command',
          'let the command read the files in $DBBACKUP_KEYS, which are called like the keys',
        ),
      ]
    : [];
};

const tls: Rule = ({ spec: { database } }) => {
  const { engine, tls: wanted } = database;
  if (wanted === undefined) return [];
  const { mode, ca } = wanted;
  const field = 'spec.database.tls.ca';
  if (engine === 'redis' && mode === 'verify-full')
    return [
      error('spec.database.tls.mode', mode, 'is not for redis: redis-cli compares no host name', 'use verify-ca'),
    ];
  if (ca === undefined) {
    // PostgreSQL and the others know where the system keeps its authorities; these two clients do not.
    const needed = mode === 'verify-ca' || (mode === 'verify-full' && ['mysql', 'mariadb'].includes(engine));
    const fix = "name the ConfigMap or Secret with the authorities of the server's certificate";
    return needed ? [error(field, ca, `is required with mode ${mode}`, fix)] : [];
  }
  if (mode === 'disable') return [error(field, ca, 'is not allowed with mode disable', 'remove it or choose a mode')];
  const given = [ca.configMapKeyRef, ca.secretKeyRef].filter((place) => place !== undefined).length;
  if (given === 1) return [];
  return [error(field, ca, 'needs exactly one of configMapKeyRef, secretKeyRef', 'keep the one that is meant')];
};

const commands: Rule = ({ spec: { database } }) =>
  (['command', 'restoreCommand'] as const).flatMap((field) => {
    const value = database[field];
    const isMeant = database.engine === 'command';
    if (isMeant === (value !== undefined)) return [];
    const path = `spec.database.${field}`;
    return isMeant
      ? [error(path, value, 'is required with engine command', 'write the program and its arguments, an item each')]
      : [error(path, value, `is not allowed with ${database.engine}`, 'remove it, or use engine command')];
  });

const image: Rule = ({ spec }) =>
  /:latest$|^[^:@]*$/.test(spec.database.image.split('/').at(-1) ?? '')
    ? [
        warning(
          'spec.database.image',
          spec.database.image,
          'its version may change under the dump',
          'name a version or a digest',
        ),
      ]
    : [];

const cluster: Rule = ({ spec }, { old }) => {
  // One that was stored while the webhook was away has its cluster pinned in status.
  const before = old?.spec.database.cluster ?? old?.status?.effective?.cluster;
  const after = spec.database.cluster;
  return before === undefined || after === undefined || before === after
    ? []
    : [
        error(
          'spec.database.cluster',
          after,
          `is immutable, it was ${show(before)}`,
          'create another DatabaseBackup instead',
        ),
      ];
};

const extraArgs: Rule = ({ spec }) => {
  const allowedArguments = engines[spec.database.engine].allowedArguments(spec.database);
  return (spec.database.extraArgs ?? []).flatMap((argument, index) => {
    const field = `spec.database.extraArgs[${index}]`;
    const [option = '', ...rest] = argument.split('=');
    const takesValue = allowedArguments[option];
    if (takesValue === undefined) {
      const allowed = Object.keys(allowedArguments).join(', ');
      return [
        error(
          field,
          argument,
          `${option} is not in the allow-list of ${spec.database.engine}`,
          allowed === '' ? 'remove it' : `use one of ${allowed}`,
        ),
      ];
    }
    if (takesValue === rest.length > 0) return [];
    return [
      takesValue
        ? error(field, argument, 'needs a value', `write ${option}=VALUE in one item`)
        : error(field, argument, 'takes no value', `write ${option}`),
    ];
  });
};

/** An engine that nobody knows is told by the schema, and says nothing on what fits it. */
const ofEngine =
  (rule: Rule): Rule =>
  (next, context) =>
    Object.hasOwn(engines, next.spec.database.engine) ? rule(next, context) : [];

export const databaseRules: readonly Rule[] = [
  ...[host, name, image, cluster],
  ...[scope, login, tls, commands, extraArgs].map(ofEngine),
];
