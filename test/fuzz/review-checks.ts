// What must hold of every answer of the admission server: a status that fits, and never an admission that the rules would not give.
import { isDeepStrictEqual } from 'node:util';
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { validate } from '../../crds/rules/validate.ts';
import { missingCluster, withCluster } from '../../webhook/default.ts';
import { isError } from './object-checks.ts';
import type { RawRequest } from './reviews.ts';

export interface Reply {
  status: number;
  body: string;
}

/** Refusals that say what is wrong with the request. 500 is none of them: it means that the server stumbled. */
const refusals = [400, 404, 405, 413, 415];

interface Request {
  uid: string;
  operation: string;
  subResource?: string;
  object: DatabaseBackup;
  oldObject: DatabaseBackup | null;
}

/** How it was answered. @throws Error for an answer that must not be */
export function checkReply(asked: RawRequest, { status, body }: Reply): string {
  if (refusals.includes(status)) {
    if (body.length > 500) throw new Error(`status ${status} with ${body.length} characters`);
    return String(status);
  }
  if (status !== 200) throw new Error(`status ${status}: ${body.slice(0, 200)}`);
  const { response } = JSON.parse(body) as { response: { uid: string; allowed: boolean; patch?: string } };
  // What cannot be read here could not be read there: an answer of 200 would be an accident.
  const { request } = JSON.parse(asked.body.toString().replace(/^\ufeff/, '')) as { request: Request };
  if (response.uid !== request.uid) throw new Error('the answer is to another review');
  if (typeof response.allowed !== 'boolean') throw new Error('allowed is neither true nor false');
  if (!response.allowed) return 'refused';
  const why = admission(asked.path, request, response.patch);
  if (why === undefined) throw new Error('allowed, though the rules refuse it');
  return why;
}

/** Why a request may be allowed; undefined when it may not. */
function admission(
  path: string,
  { operation, subResource, object, oldObject }: Request,
  patch?: string,
): string | undefined {
  if (subResource === 'status' || operation === 'DELETE') return 'allowed unseen';
  if (object.metadata.deletionTimestamp !== undefined) return 'allowed to go';
  if (path.startsWith('/mutate-trigger')) return 'allowed to ask';
  const old = operation === 'UPDATE' ? (oldObject ?? undefined) : undefined;
  // JSON has no NaN and no infinite numbers: two that are both too large are the same to it.
  if (old !== undefined && isDeepStrictEqual(plain(object.spec), plain(old.spec))) return 'allowed unchanged';
  const cluster = path.startsWith('/mutate') ? missingCluster(object, old) : undefined;
  if ((cluster === undefined) !== (patch === undefined)) throw new Error('the patch is not the one that is due');
  const final = cluster === undefined ? object : withCluster(object, cluster);
  return validate(final, old).some(isError) ? undefined : 'allowed';
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value) ?? 'null');
