// Databases that fit their engine, made from what the table of engines says of it; and what else in a good spec hangs together.
import type { Engine } from '../../crds/rules/engines/engine.ts';
import { engines } from '../../crds/rules/engines/table.ts';
import type { Random } from './chance.ts';

/** The value of a member of the database, by its path, from the schema. */
type Make = (path: string) => unknown;

const values = ['audit_*', '5', 'a=b', 'public', '漢'];
const mostArguments = 3;

/** A database that no rule refuses, but for a name that is too long in bytes or an address that no rule takes. */
export function fittingDatabase(make: Make, random: Random): object {
  const name = random.pick(Object.keys(engines));
  const engine: Engine = engines[name as keyof typeof engines];
  const scope = !engine.hasDatabases ? {} : random.chance(0.3) ? { allDatabases: true } : { name: make('name') };
  const optional = ['cluster', 'port'].filter(() => random.chance(0.35)).map((field) => [field, make(field)]);
  return {
    engine: name,
    image: make('image'),
    host: make('host'),
    ...Object.fromEntries(optional),
    ...scope,
    ...argumentsOf(Object.entries(engine.allowedArguments(scope as object)), random),
    ...login(engine, make, random),
    ...(random.chance(0.35) ? { tls: tls(make, random) } : {}),
    ...(name === 'command' ? { command: make('command'), restoreCommand: make('restoreCommand') } : {}),
  };
}

function argumentsOf(allowed: [string, boolean][], random: Random): object {
  if (random.chance(0.65)) return {};
  const count = allowed.length === 0 ? 0 : random.below(mostArguments + 1);
  const extraArgs = Array.from({ length: count }, () => {
    const [option, takesValue] = random.pick(allowed);
    return takesValue ? `${option}=${random.pick(values)}` : option;
  });
  return { extraArgs };
}

/** An engine that takes no keys of ours reads keys of its own choice where it can do without a login, else it takes no secretRef. */
function login({ secretKeys, mayLackLogin }: Engine, make: Make, random: Random): object {
  if (mayLackLogin && random.chance(0.3)) return {};
  const keys = Object.keys(secretKeys);
  if (keys.length === 0 && !mayLackLogin) {
    const way = random.pick(['jwt', 'tokenSecretKeyRef']);
    return { auth: { [way]: make(`auth.${way}`) } };
  }
  const named = keys.filter(() => random.chance(0.5)).map((key) => [key, make(`auth.secretRef.keys.${key}`)]);
  const chosen = keys.length > 0 && random.chance(0.5) ? { keys: Object.fromEntries(named) } : {};
  return { auth: { secretRef: { name: make('auth.secretRef.name'), ...chosen } } };
}

/** Authorities only where the mode looks at the certificate. */
function tls(make: Make, random: Random): object {
  const mode = random.pick(['disable', 'require', 'verify-ca', 'verify-full']);
  return { mode, ...(mode.startsWith('verify') ? { ca: make('tls.ca') } : {}) };
}

interface Parts {
  serviceAccountName?: string;
  storage?: Record<string, { auth?: object; serverSideEncryption?: { algorithm?: string; kmsKeyId?: string } }>;
}

/** A cloud's identity is that of a service account, and a key of KMS is for KMS. */
export function joinStorage(spec: Parts): void {
  const stores = Object.values(spec.storage ?? {});
  if (stores.some(({ auth = {} }) => Object.hasOwn(auth, 'workloadIdentity'))) spec.serviceAccountName ??= 'cloud';
  for (const { serverSideEncryption } of stores)
    if (serverSideEncryption?.algorithm === 'AES256') Reflect.deleteProperty(serverSideEncryption, 'kmsKeyId');
}
