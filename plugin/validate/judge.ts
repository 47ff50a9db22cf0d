// Everything that is wrong with one object, from every rule that needs no cluster.
import { withoutEmpty } from '../../crds/rules/empty-fields.ts';
import { unknownFields } from '../../crds/rules/unknown-fields.ts';
import { type Finding, validate } from '../../crds/rules/validate.ts';
import type { RuleId } from './finding.ts';
import { metadataFindings } from './metadata.ts';

/** The first ones say it all, and the report of a thousand objects stays readable. */
const maxFindings = 100;
/** As in the webhook: more than any list may have. Each item that is wrong would cost a finding. */
const maxItems = 1000;

export type Judged = Finding & { rule: RuleId };

/** @param now for the rules that look ahead */
export function judge(object: unknown, now: Date): Judged[] {
  const { value, taken } = withoutEmpty(object);
  const found: Judged[] = [
    ...named('metadata', metadataFindings(value)),
    ...named('unknown-field', unknownFields(value)),
    ...taken.map(emptyField),
    ...admission(value, now),
  ];
  const refused = new Set(found.filter(({ rule }) => rule === 'metadata').map(({ field }) => field));
  const distinct = found.filter(({ rule, field }) => rule !== 'admission' || !refused.has(field));
  if (distinct.length <= maxFindings) return distinct;
  const rest: Finding = {
    ...{ field: '', severity: 'error', fix: 'mend these first' },
    message: `has ${distinct.length - maxFindings} more findings`,
  };
  return [...distinct.slice(0, maxFindings), { ...rest, rule: 'admission' }];
}

const named = (rule: RuleId, findings: readonly Finding[]): Judged[] =>
  findings.map((finding) => ({ ...finding, rule }));

function emptyField(field: string): Judged {
  const message = 'is empty, which is the same as absent';
  return { rule: 'empty-field', field, severity: 'warning', message, fix: 'give it a value, or remove the line' };
}

function admission(value: unknown, now: Date): Judged[] {
  const long = longLists(value, '');
  if (long.length > 0) return named('admission', long);
  try {
    return named('admission', validate(value, undefined, now));
  } catch (cause) {
    // validate only throws where no rule names what is wrong. That is a bug of ours, and not a reason to let the object pass.
    const message = `could not be checked: ${cause instanceof Error ? cause.message : String(cause)}`;
    return [{ rule: 'admission', field: '', severity: 'error', message, fix: 'report this as a bug of dbbackup' }];
  }
}

function longLists(value: unknown, field: string): Finding[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value) && value.length > maxItems)
    return [{ field, severity: 'error', message: `has more than ${maxItems} items`, fix: 'shorten it' }];
  const place = (key: string): string =>
    Array.isArray(value) ? `${field}[${key}]` : field === '' ? key : `${field}.${key}`;
  return Object.entries(value).flatMap(([key, item]) => longLists(item, place(key)));
}
