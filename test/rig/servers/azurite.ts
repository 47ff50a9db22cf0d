// A real Azure Blob server (azurite, everything in its memory) on this host for one test file, gone after stop(). It knows account keys and
// SAS tokens, and checks both as Azure does.
import { createHmac, randomBytes } from 'node:crypto';
import { sharedKeyAuthorization } from '../../../executor/storage/azure-signature.ts';
import { npmProgram } from '../npm-program.ts';
import type { Log } from '../progress.ts';
import { startChild } from './child.ts';
import { newPlace, removePlace, untilReady, withFreePort } from './place.ts';

const apiVersion = '2021-12-02';
/** It loads over 300 packages: seconds on an idle machine, more than a minute on one that is busy. */
const startMilliseconds = 300_000;

export interface Azurite {
  /** With the account behind it: `http://127.0.0.1:<port>/<account>`. */
  endpoint: string;
  account: string;
  /** Base64. */
  accountKey: string;
  /** At least three characters, as everywhere in Azure. */
  createContainer(name: string): Promise<void>;
  /**
   * A SAS token of the account.
   * @param permissions such as "racwdl"
   * @param seconds from now until it expires
   */
  sas(permissions: string, seconds?: number): string;
  stop(): Promise<void>;
}

/** "Create an account SAS" of Azure's documentation, for blobs (b) on the level of containers and objects (co). */
function accountSas(account: string, accountKey: string, permissions: string, seconds: number): string {
  const expiry = new Date(Date.now() + 1000 * seconds).toISOString().replace(/\.\d+Z$/, 'Z');
  const fields = { sv: apiVersion, ss: 'b', srt: 'co', sp: permissions, se: expiry, spr: 'https,http' };
  // Account, permissions, services, types, start, expiry, addresses, protocols, version, encryption scope.
  const text = [account, permissions, 'b', 'co', '', expiry, '', fields.spr, apiVersion, '', ''].join('\n');
  const sig = createHmac('sha256', Buffer.from(accountKey, 'base64')).update(text).digest('base64');
  return new URLSearchParams({ ...fields, sig }).toString();
}

export async function startAzurite({ log }: { log: Log }): Promise<Azurite> {
  const program = await npmProgram('azurite', 'dist/src/blob/main.js', log);
  const place = await newPlace('azurite');
  const account = 'rigaccount';
  const accountKey = randomBytes(64).toString('base64');
  try {
    return await withFreePort(async (port) => {
      const flags = [
        '--blobHost',
        '127.0.0.1',
        '--blobPort',
        String(port),
        '--inMemoryPersistence',
        '--disableTelemetry',
      ];
      const child = await startChild([process.execPath, program, ...flags, '--silent'], {
        env: { PATH: process.env['PATH'], AZURITE_ACCOUNTS: `${account}:${accountKey}` },
        cwd: place,
      });
      const endpoint = `http://127.0.0.1:${port}/${account}`;
      // Without credentials it answers "no authentication information", which is an answer. Somebody else may answer at its port.
      const ready = () =>
        fetch(endpoint).then(
          ({ headers }) => headers.get('server')?.startsWith('Azurite') === true,
          () => false,
        );
      await untilReady('azurite', child, ready, startMilliseconds);
      const createContainer = async (name: string) => {
        const url = new URL(`${endpoint}/${name}?restype=container`);
        const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': apiVersion };
        const key = { account, key: Buffer.from(accountKey, 'base64') };
        const authorization = sharedKeyAuthorization(key, { method: 'PUT', url, headers }, headers);
        const { status } = await fetch(url, { method: 'PUT', headers: { ...headers, authorization } });
        if (status !== 201) throw new Error(`create container "${name}": HTTP ${status}`);
      };
      const stop = async () => {
        await child.stop();
        await removePlace(place);
      };
      const sas = (permissions: string, seconds = 3600) => accountSas(account, accountKey, permissions, seconds);
      return { endpoint, account, accountKey, createContainer, sas, stop };
    });
  } catch (error) {
    await removePlace(place);
    throw error;
  }
}
