// Admission: one AdmissionReview in, the answer out. What it cannot read it throws at, so that nothing passes by mistake.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { canonical, group, plural, version } from '../crds/rules/names.ts';
import { type Finding, sentence, validate } from '../crds/rules/validate.ts';
import { clusterPatch, missingCluster, withCluster } from './default.ts';
import { triggerPatch } from './trigger.ts';

/**
 * What is asked, which is the path. mutate sets the cluster and applies the rules, validate repeats them on the final object,
 * mutate-trigger only records who asked for a backup and refuses nothing.
 */
export const entries = ['mutate', 'mutate-trigger', 'validate'] as const;
export type Entry = (typeof entries)[number];

export interface Answer {
  uid: string;
  allowed: boolean;
  patchType?: 'JSONPatch';
  /** JSON patch, base64. */
  patch?: string;
  warnings?: string[];
  status?: object;
}

export interface AnsweredReview {
  apiVersion: 'admission.k8s.io/v1';
  kind: 'AdmissionReview';
  response: Answer;
}

/** The request is not an AdmissionReview of a DatabaseBackup. */
export class MalformedReview extends Error {
  constructor(detail: string) {
    super(`read AdmissionReview: ${detail}`);
    this.name = 'MalformedReview';
  }
}

/** A list of 50,000 recipients is wrong 50,000 times; the first few say it all and the answer stays small. */
const maxFindings = 50;

/** More than any list may have. Each item that is wrong costs a finding of a few kilobytes, and 3 MiB hold a million items. */
const maxItems = 1000;

/** Three times what the schema needs; the rules call themselves for each level. */
const maxDepth = 32;

/** The API server's are 36 characters. Whatever it is, it is sent back and logged. */
const maxUid = 256;

const kind = 'DatabaseBackup';

type Fields = Record<string, unknown>;

function fields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MalformedReview(`${what} is not an object`);
  return value as Fields;
}

/** The object with a metadata and a spec that are objects; deeper shapes are the rules' business. */
function backup(value: unknown, what: string): DatabaseBackup {
  const object = fields(value, what);
  fields(object['metadata'], `${what}.metadata`);
  return object as unknown as DatabaseBackup;
}

const hasSpec = ({ spec }: { spec: unknown }): boolean => typeof spec === 'object' && spec !== null;

/**
 * @param now for warnings about what is to come; absent, there are none
 * @throws MalformedReview
 */
export function review(entry: Entry, body: unknown, now?: Date): AnsweredReview {
  const envelope = fields(body, 'the body');
  if (envelope['apiVersion'] !== 'admission.k8s.io/v1' || envelope['kind'] !== 'AdmissionReview')
    throw new MalformedReview('only admission.k8s.io/v1 AdmissionReview is understood');
  const request = fields(envelope['request'], 'request');
  const { uid } = request;
  if (typeof uid !== 'string' || uid === '') throw new MalformedReview('request.uid is missing');
  if (uid.length > maxUid) throw new MalformedReview(`request.uid is longer than ${maxUid} characters`);
  const resource = fields(request['resource'], 'request.resource');
  if (resource['group'] !== group || resource['version'] !== version || resource['resource'] !== plural)
    throw new MalformedReview(`request.resource is not ${plural}.${version}.${group}`);
  const asked = fields(request['kind'], 'request.kind');
  if (asked['group'] !== group || asked['version'] !== version || asked['kind'] !== kind)
    throw new MalformedReview(`request.kind is not ${kind}.${version}.${group}`);
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, ...decide(entry, request, now) },
  };
}

function decide(entry: Entry, request: Fields, now: Date | undefined): Omit<Answer, 'uid'> {
  const { operation, subResource } = request;
  if (subResource === 'status') return { allowed: true };
  if (subResource !== undefined && subResource !== '') throw new MalformedReview('request.subResource is not known');
  if (operation === 'DELETE') return { allowed: true };
  if (operation !== 'CREATE' && operation !== 'UPDATE') throw new MalformedReview('request.operation is not known');
  const next = backup(request['object'], 'request.object');
  const old = operation === 'UPDATE' ? backup(request['oldObject'], 'request.oldObject') : undefined;
  // Rules grow stricter with time: an object they would refuse today can still be labelled, and let go.
  if (next.metadata.deletionTimestamp !== undefined) return { allowed: true };
  if (entry === 'mutate-trigger') return patched(triggerPatch(next, old, userName(request)));
  const tooMuch = oversized(next.spec, 'spec');
  if (tooMuch.length > 0) return judge(next, tooMuch);
  if (old !== undefined && oversized(old.spec, 'spec').length > 0)
    throw new MalformedReview('request.oldObject.spec is larger than what can be stored');
  if (old !== undefined && canonical({ spec: next.spec }) === canonical({ spec: old.spec })) return { allowed: true };
  return entry === 'mutate' ? mutate(next, old, now) : judge(next, validate(next, old));
}

function mutate(next: DatabaseBackup, old: DatabaseBackup | undefined, now: Date | undefined): Omit<Answer, 'uid'> {
  const cluster = hasSpec(next) ? missingCluster(next, old) : undefined;
  const final = cluster === undefined ? next : withCluster(next, cluster);
  const findings = validate(final, old, now);
  const warnings = findings.filter(({ severity }) => severity === 'warning').slice(0, maxFindings);
  // The API server would show the warnings of both halves, so only this one gives them.
  const answer = { ...judge(final, findings), ...(warnings.length === 0 ? {} : { warnings: warnings.map(sentence) }) };
  return answer.allowed && cluster !== undefined ? { ...answer, ...patched(clusterPatch(cluster)) } : answer;
}

function patched(patch: object[]): Omit<Answer, 'uid'> {
  if (patch.length === 0) return { allowed: true };
  return { allowed: true, patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
}

function userName(request: Fields): string {
  const { username } = fields(request['userInfo'], 'request.userInfo');
  if (typeof username !== 'string' || username === '')
    throw new MalformedReview('request.userInfo.username is missing');
  return username;
}

/** What no field could hold ends the review before the rules meet it. */
function oversized(value: unknown, field: string, depth = 0): Finding[] {
  if (typeof value !== 'object' || value === null) return [];
  const error = (message: string, fix: string): Finding[] => [{ field, severity: 'error', message, fix }];
  if (depth > maxDepth) return error(`is nested deeper than ${maxDepth} levels`, 'flatten it');
  if (Array.isArray(value) && value.length > maxItems) return error(`has more than ${maxItems} items`, 'shorten it');
  const place = (key: string): string => (Array.isArray(value) ? `${field}[${key}]` : `${field}.${key}`);
  return Object.entries(value).flatMap(([key, item]) => oversized(item, place(key), depth + 1));
}

function judge(next: DatabaseBackup, findings: Finding[]): Omit<Answer, 'uid'> {
  const errors = findings.filter(({ severity }) => severity === 'error');
  return errors.length === 0 ? { allowed: true } : { allowed: false, status: refusal(next, errors) };
}

/** A Status as the API server itself makes it for an invalid object: tools that list its causes list ours. */
function refusal({ metadata }: DatabaseBackup, errors: Finding[]): object {
  const shown = errors.slice(0, maxFindings);
  const rest = errors.length - shown.length;
  const lines = shown.map(sentence);
  if (rest > 0) lines.push(`and ${rest} more`);
  return {
    status: 'Failure',
    code: 422,
    reason: 'Invalid',
    message: lines.join('\n'),
    details: {
      ...(metadata.name === undefined ? {} : { name: metadata.name }),
      group,
      kind,
      causes: shown.map((finding) => ({ reason: 'FieldValueInvalid', field: finding.field, message: cause(finding) })),
    },
  };
}

const cause = ({ value, message, fix }: Finding): string =>
  `${value === undefined ? '' : `${value}: `}${message}; ${fix}`;
