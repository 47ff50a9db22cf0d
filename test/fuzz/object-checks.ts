// What must hold of every object whatever it is: the rules answer, always the same, in bounded work, and the webhook never lets through what they refuse.
import { isDeepStrictEqual } from 'node:util';
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { type Finding, validate } from '../../crds/rules/validate.ts';
import { judge } from '../../plugin/validate/judge.ts';
import { type Answer, MalformedReview, review } from '../../webhook/review.ts';
import type { Case } from './cases.ts';
import { counted } from './counted.ts';

export type Outcome = 'accepted' | 'refused' | 'unchanged' | 'malformed';

/** Looks ahead from here; any time would do. */
const now = new Date('2025-03-27T12:00:00Z');
const objectPrototype = Object.getOwnPropertyNames(Object.prototype).join();

export const isError = ({ severity }: Finding): boolean => severity === 'error';

function demand(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** How the webhook answered. @throws Error where something that must hold does not */
export function checkObject({ next, old }: Case): Outcome {
  const before = JSON.stringify(next);
  const findings = validate(next, old);
  for (const finding of findings) checkFinding(finding, before);
  const { severest, reads, size } = counted(next, (object) => ({ severest: validate(object, old, now) }));
  demand(reads <= 400 * size + 4000, `the rules read ${reads} times in an object of ${size} fields`);
  demand(severest.some(isError) === findings.some(isError), 'the time decides whether there is an error');
  demand(isDeepStrictEqual(validate(JSON.parse(before), old), findings), 'the same object gives other findings');
  demand(JSON.stringify(next) === before, 'the rules changed the object');
  demand(Object.getOwnPropertyNames(Object.prototype).join() === objectPrototype, 'Object.prototype was changed');
  checkOffline(next);
  const outcome = checkReview('validate', next, old, findings);
  demand(checkReview('mutate', next, old) === outcome, 'the two webhooks disagree');
  return outcome;
}

/** The plugin says no less, and never that it could not check. */
function checkOffline(next: unknown): void {
  const judged = judge(next, now);
  demand(
    judged.every(({ message }) => !message.startsWith('could not be checked')),
    `offline: ${judged[0]?.message}`,
  );
  demand(
    judged.every(({ field, fix }) => field.length < 10_000 && fix !== ''),
    'offline: a finding without measure',
  );
}

function checkFinding({ field, message, fix, value = '', severity }: Finding, object: string): void {
  const what = JSON.stringify({ field, message, fix, value, severity }).slice(0, 300);
  demand(field !== '' || message.startsWith('must be'), `a finding without field: ${what}`);
  demand(message !== '' && fix !== '', `a finding without message or fix: ${what}`);
  const rubbish = /undefined|\[object/.exec(message + fix + value)?.[0];
  demand(rubbish === undefined || object.includes(rubbish), `a finding with rubbish in it: ${what}`);
  demand(value.length <= 80, `a finding with a long value: ${what}`);
  demand(severity === 'error' || severity === 'warning', `a finding without severity: ${what}`);
}

function answerOf(entry: 'mutate' | 'validate', next: unknown, old: DatabaseBackup | undefined): Answer | undefined {
  const type = { group: 'dbbackup.io', version: 'v1alpha1' };
  const request = {
    uid: 'a-uid',
    kind: { ...type, kind: 'DatabaseBackup' },
    resource: { ...type, resource: 'databasebackups' },
    operation: old === undefined ? 'CREATE' : 'UPDATE',
    userInfo: { username: 'ada' },
    object: next,
    oldObject: old ?? null,
  };
  try {
    return review(entry, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }).response;
  } catch (cause) {
    if (cause instanceof MalformedReview) return undefined;
    throw cause;
  }
}

function checkReview(entry: 'mutate' | 'validate', next: unknown, old?: DatabaseBackup, findings?: Finding[]): Outcome {
  const answer = answerOf(entry, next, old);
  if (answer === undefined) return 'malformed';
  const text = JSON.stringify(answer);
  demand(text.length < 256 * 1024, `the answer has ${text.length} characters`);
  if (!answer.allowed) {
    const { status } = answer as { status: { code: number; message: string; details: { causes: unknown[] } } };
    demand(
      status.code === 422 && status.message !== '' && status.details.causes.length > 0,
      'a refusal without a cause',
    );
    // Unknown fields may be of any size, and only the API server takes them away before.
    const tooLarge = /has more than \d+ items|is nested deeper/.test(status.message);
    demand(tooLarge || findings?.some(isError) !== false, 'the webhook refuses what the rules accept');
    return 'refused';
  }
  const { metadata, spec } = next as DatabaseBackup;
  if (metadata.deletionTimestamp !== undefined || (old !== undefined && isDeepStrictEqual(spec, old.spec)))
    return 'unchanged';
  const admitted = patchedBy(answer, next as DatabaseBackup);
  demand(!validate(admitted, old).some(isError), 'the webhook allows what the rules refuse');
  return 'accepted';
}

/** The one patch that there is adds the cluster. */
function patchedBy({ patch }: Answer, next: DatabaseBackup): unknown {
  if (patch === undefined) return next;
  const [change, ...more] = JSON.parse(Buffer.from(patch, 'base64').toString()) as {
    op: string;
    path: string;
    value: string;
  }[];
  demand(more.length === 0 && change?.op === 'add' && change.path === '/spec/database/cluster', `a patch ${patch}`);
  return { ...next, spec: { ...next.spec, database: { ...next.spec.database, cluster: change.value } } };
}
