// What the API server says of an object, and what offline validation says of the same one, side by side.

import { ApiError, type Transport } from '../../controller/transport.ts';
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import type { Finding } from '../../crds/rules/validate.ts';
import { judge } from '../../plugin/validate/judge.ts';
import { isError } from './object-checks.ts';

export const namespace = 'shop';
const path = `/apis/dbbackup.io/v1alpha1/namespaces/${namespace}/databasebackups`;
const inFlight = 8;

export interface Opinion {
  object: Record<string, unknown>;
  /** Why the API server refuses it; undefined where it takes it. */
  server?: string;
  offline: Finding[];
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The object as kubectl would send it: to the namespace that it names, which exists here whatever its name. Undefined for other kinds,
 * which offline validation passes over and which have other doors.
 */
export function sendable(object: unknown): Record<string, unknown> | undefined {
  if (!isMap(object) || object['apiVersion'] !== 'dbbackup.io/v1alpha1' || object['kind'] !== 'DatabaseBackup')
    return undefined;
  const { metadata } = object;
  if (!isMap(metadata) || typeof metadata['namespace'] !== 'string') return object;
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(metadata['namespace'])
    ? { ...object, metadata: { ...metadata, namespace } }
    : object;
}

export interface Answer {
  /** Why the API server refuses it; undefined where it takes it. */
  refusal?: string;
  /** What it would store. */
  stored?: DatabaseBackup;
}

/** Whether the API server would take a new object, strictly and without storing anything. */
export const askCreate = (transport: Transport, body: object): Promise<Answer> =>
  answer(transport, { method: 'POST', path, body });

/** The same for an update of what is stored. */
export const askUpdate = (transport: Transport, name: string, body: object): Promise<Answer> =>
  answer(transport, { method: 'PUT', path: `${path}/${name}`, body });

async function answer(
  transport: Transport,
  request: { method: 'POST' | 'PUT'; path: string; body: object },
): Promise<Answer> {
  try {
    return { stored: await transport.call({ ...request, query: { dryRun: 'All', fieldValidation: 'Strict' } }) };
  } catch (error) {
    // Any other status says nothing about the object: it would be a fault of the test's world, or of ours.
    const isVerdict = error instanceof ApiError && [400, 403, 422].includes(error.status);
    if (isVerdict && !/failed calling webhook/.test(error.message)) return { refusal: error.message };
    throw new Error(`${JSON.stringify(request.body).slice(0, 2000)}: ${String(error)}`);
  }
}

export async function opinionOf(transport: Transport, object: Record<string, unknown>): Promise<Opinion> {
  const { refusal } = await askCreate(transport, object);
  const offline = judge(object, new Date()).filter(isError);
  return { object, offline, ...(refusal === undefined ? {} : { server: refusal }) };
}

export function store(transport: Transport, object: DatabaseBackup): Promise<DatabaseBackup> {
  return transport.call({ method: 'POST', path, body: object });
}

/** All of them, several at a time, in their own order. */
export async function together<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at] as T);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return results;
}

/** An opinion for a person: who says what, about which object. */
export function told({ object, server, offline }: Opinion): string {
  const findings = offline.map(({ field, message }) => `${field} ${message}`).join('; ');
  const said =
    server === undefined ? 'takes it' : `refuses: ${server.replace(/^.*databasebackups: /, '').slice(0, 300)}`;
  return `API server ${said}\noffline: ${findings === '' ? 'nothing' : findings.slice(0, 300)}\n${JSON.stringify(object).slice(0, 1500)}`;
}
