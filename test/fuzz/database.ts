// Makes a random spec.database one that fits its engine, where the engine decides what may stand beside it.
import { type EngineName, engines } from '../../crds/rules/engines/table.ts';
import type { Random } from './chance.ts';

interface Database extends Record<string, unknown> {
  engine?: EngineName;
  name?: unknown;
  auth?: Record<string, unknown>;
  tls?: Record<string, unknown>;
}

const commands = [['pg_dumpall'], ['sh', '-c', 'cat "$DBBACKUP_KEYS"/*'], ['tool', '', '$(HOST)']];
/** Fields that the engine decides upon. */
const decided = ['name', 'allDatabases', 'auth', 'tls', 'extraArgs', 'command', 'restoreCommand'];
const secret = { secretRef: { name: 'orders-db' } };

function scoped(database: Database, random: Random): object {
  const { engine = 'postgres', name = 'orders' } = database;
  if (!engines[engine].hasDatabases) return {};
  return random.chance(0.3) ? { allDatabases: true } : { name };
}

function authorized({ engine = 'postgres', auth }: Database, random: Random): object {
  if (engines[engine].mayLackLogin && random.chance(0.3)) return {};
  if (engine === 'openbao')
    return {
      auth: random.chance(0.5) ? { jwt: { role: 'backup' } } : { tokenSecretKeyRef: { name: 'bao', key: 'token' } },
    };
  if (engine === 'command') return { auth: secret };
  return { auth: auth?.['secretRef'] === undefined ? secret : { secretRef: auth['secretRef'] } };
}

function secured({ tls }: Database): object {
  if (tls === undefined) return {};
  if (tls['mode'] === 'disable') return { tls: { mode: 'disable' } };
  return { tls: { ca: { configMapKeyRef: { name: 'orders-ca', key: 'ca.crt' } }, ...tls } };
}

const argument = ([option, takesValue]: [string, boolean]): string => (takesValue ? `${option}=a` : option);

/** @param made of every field now and then */
export function fitted(made: Record<string, unknown>, random: Random): Record<string, unknown> {
  const database: Database = made;
  const { engine } = database;
  if (engine === undefined || engines[engine] === undefined) return made;
  const scope = scoped(database, random);
  const options = Object.entries(engines[engine].allowedArguments(scope));
  const given = made['extraArgs'];
  const other = Object.fromEntries(Object.entries(made).filter(([field]) => !decided.includes(field)));
  const chosen =
    options.length === 0 || !Array.isArray(given) ? {} : { extraArgs: given.map(() => argument(random.pick(options))) };
  return {
    ...other,
    ...chosen,
    ...scope,
    ...authorized(database, random),
    ...secured(database),
    ...(engine === 'command' ? { command: random.pick(commands), restoreCommand: random.pick(commands) } : {}),
  };
}
