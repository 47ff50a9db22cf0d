// The connections to a store: which authorities are trusted, and where its name may lead. A name in a manifest could lead to the node or to
// the metadata service of a cloud, so every address that it resolves to is looked at when a connection is made.
import { X509Certificate } from 'node:crypto';
import { lookup } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { join } from 'node:path';
import { refusedHost } from '../../crds/rules/admission/address.ts';
import type { S3Task } from '../../crds/rules/contract.ts';
import { RunError, refusedAddressCode } from '../errors.ts';
import type { Run } from '../run.ts';

/** More than there are parts on their way at once, and the listing and the heads beside them. */
const maxSockets = 50;

export interface Agents {
  httpAgent: HttpAgent;
  httpsAgent: HttpsAgent;
}

function refusal(host: string, why: string): RunError {
  const error = new RunError(
    'ConfigInvalid',
    `connect to the store "${host}": its address ${why}: correct the endpoint in spec.storage`,
  );
  return Object.assign(error, { code: refusedAddressCode });
}

/** As dns.lookup, but a name of which one address cannot be a store's is refused altogether. */
export const guardedLookup: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, []);
    for (const { address } of addresses) {
      const why = refusedHost(address);
      if (why !== undefined) return callback(refusal(host, why), []);
    }
    const [first] = addresses;
    if (options.all === true || first === undefined) return callback(null, addresses);
    callback(null, first.address, first.family);
  });
};

/** The authorities of the store's certificate. Throws where the ConfigMap or Secret lacks them, naming it. */
export async function readAuthorities(run: Run, from: NonNullable<S3Task['authorities']>): Promise<Buffer> {
  const reason = from.kind === 'Secret' ? 'SecretInvalid' : 'ConfigInvalid';
  const where = `read the authorities of the store: key "${from.key}" of ${from.kind} "${from.name}"`;
  const bytes = await readFile(join(run.folders.storageAuthorities, 'ca.crt')).catch(() => Buffer.alloc(0));
  if (bytes.toString('latin1').trim() === '') throw new RunError(reason, `${where} is missing or empty`);
  try {
    new X509Certificate(bytes);
  } catch {
    throw new RunError(reason, `${where} holds no certificate in PEM form`);
  }
  return bytes;
}

/**
 * What every kind of store connects with.
 * @param endpoint of the task, whose host may be an address that is never looked up
 */
export async function storageAgents(
  run: Run,
  { endpoint, authorities }: { endpoint?: string; authorities?: S3Task['authorities'] },
): Promise<Agents> {
  const host = endpoint === undefined ? '' : new URL(endpoint).hostname.replace(/^\[|\]$/g, '');
  const why = isIP(host) === 0 || run.storeMayBeLocal ? undefined : refusedHost(host);
  if (why !== undefined) throw refusal(host, why);
  const options = { keepAlive: true, maxSockets, ...(run.storeMayBeLocal ? {} : { lookup: guardedLookup }) };
  const ca = authorities === undefined ? {} : { ca: await readAuthorities(run, authorities) };
  return { httpAgent: new HttpAgent(options), httpsAgent: new HttpsAgent({ ...options, ...ca }) };
}
