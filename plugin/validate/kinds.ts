// Which documents are ours, which only nearly, and which are somebody else's.

import { group, version } from '../../crds/rules/names.ts';
import { distance, nearest } from '../../crds/rules/nearest.ts';
import type { Finding } from '../../crds/rules/validate.ts';

export const kinds = ['DatabaseBackup'] as const;

export interface Verdict {
  /** foreign: not ours to judge; list: its items are objects; ours: the rules apply; unknown: ours, but no rules are known for it. */
  what: 'foreign' | 'list' | 'ours' | 'unknown';
  findings: Finding[];
}

const apiVersion = `${group}/${version}`;
const foreign: Verdict = { what: 'foreign', findings: [] };

/** @param given apiVersion and kind as they stand in the document; undefined where they are not there or no texts */
export function verdict(given: { apiVersion: string | undefined; kind: string | undefined }): Verdict {
  const { kind } = given;
  if (given.apiVersion === 'v1' && kind === 'List') return { what: 'list', findings: [] };
  const findings = apiVersionFindings(given.apiVersion);
  if (findings === undefined) return foreign;
  const isOurGroup = given.apiVersion?.startsWith(`${group}/`) === true;
  const isExact = kinds.some((one) => one === kind);
  // Without our group it takes our kind for a document to be meant for us.
  if (!isOurGroup && !isExact) return foreign;
  if (isExact) return { what: 'ours', findings };
  if (kinds.some((one) => `${one}List` === kind)) return { what: 'list', findings };
  const meant = kind === undefined ? kinds[0] : nearest(kind, kinds);
  return { what: meant === undefined ? 'unknown' : 'ours', findings: [...findings, kindFinding(kind)] };
}

/** Undefined for a group that is neither ours nor nearly so. */
function apiVersionFindings(given: string | undefined): Finding[] | undefined {
  if (given === apiVersion) return [];
  const finding: Finding = { field: 'apiVersion', severity: 'error', message: '', fix: `write ${apiVersion}` };
  if (given === undefined) return [{ ...finding, message: 'is required' }];
  const value = JSON.stringify(given.slice(0, 80));
  const [name = '', ...rest] = given.split('/');
  if (name === group) return [{ ...finding, value, message: 'is no version of dbbackup' }];
  // Another product may have a kind of the same name: only what is nearly our group is taken for it.
  const isNear = rest.length === 0 || (name.length <= 64 && distance(name.toLowerCase(), group) <= 3);
  return isNear ? [{ ...finding, value, message: 'is not the group of dbbackup' }] : undefined;
}

function kindFinding(kind: string | undefined): Finding {
  const fix = `write ${kinds.join(' or ')}`;
  if (kind === undefined) return { field: 'kind', severity: 'error', message: 'is required', fix };
  const value = JSON.stringify(kind.slice(0, 80));
  return { field: 'kind', value, severity: 'error', message: 'is no kind of dbbackup', fix };
}
