// The admission rules: old and new object in, everything that is wrong with the new one out, each with field, value and fix.
// The same list is what the webhook refuses with and what offline validation prints.
import type { DatabaseBackup } from '../databasebackup.gen.ts';
import { databaseRules } from './admission/database-rules.ts';
import { type Context, error, type Finding, type Rule } from './admission/finding.ts';
import { jobRules } from './admission/job-rules.ts';
import { objectRules } from './admission/object-rules.ts';
import { retentionRules } from './admission/retention-rules.ts';
import { scheduleRules } from './admission/schedule-rules.ts';
import { malformed, schemaFindings } from './admission/schema-check.ts';
import { storageRules } from './admission/storage-rules.ts';
import { storeRules } from './admission/store-rules.ts';

export type { Finding } from './admission/finding.ts';
export { sentence } from './admission/finding.ts';

const rules: readonly Rule[] = [
  ...objectRules,
  ...scheduleRules,
  ...storeRules,
  ...storageRules,
  ...databaseRules,
  ...retentionRules,
  ...jobRules,
];

/**
 * Everything that is wrong or risky with an object, at once.
 * @param next the object to be stored, as decoded JSON of any shape
 * @param old what is stored now, on an update
 * @param now lets the rules speak that look ahead; their findings are warnings
 */
export function validate(next: unknown, old?: DatabaseBackup, now?: Date): Finding[] {
  const bySchema = schemaFindings(next);
  const spec = (next as { spec?: unknown } | null | undefined)?.spec;
  if (next === null || typeof next !== 'object' || spec === null || typeof spec !== 'object') return bySchema;
  const { metadata } = next as { metadata?: unknown };
  const findings: Finding[] = [];
  if (metadata === undefined) findings.push(error('metadata', undefined, 'is required', 'add metadata with a name'));
  const named = { ...next, metadata: metadata ?? {} } as DatabaseBackup;
  const context: Context = { ...(old === undefined ? {} : { old }), ...(now === undefined ? {} : { now }) };
  for (const rule of rules) {
    try {
      findings.push(...rule(named, context));
    } catch (cause) {
      // A rule may stumble over a shape that is named already; without an error among the findings it is a bug.
      if (hasError(bySchema) || hasError(findings)) continue;
      // What was stored under an older schema may lack what rules look for: then the object is judged by itself.
      if (old === undefined || schemaFindings(old).length === 0) throw cause;
      findings.push(...rule(named, now === undefined ? {} : { now }));
    }
  }
  return joined(bySchema, findings);
}

const hasError = (findings: readonly Finding[]): boolean => findings.some(({ severity }) => severity === 'error');

/** A field is named once. Where the schema only says that a pattern does not fit, a rule that speaks of the field says it better. */
function joined(bySchema: readonly Finding[], byRules: readonly Finding[]): Finding[] {
  const refused = new Set(byRules.filter(({ severity }) => severity === 'error').map(({ field }) => field));
  const named = new Set<string>();
  const kept = [...bySchema]
    .sort((a, b) => Number(a.message === malformed) - Number(b.message === malformed))
    .filter(({ field, message }) => {
      const fresh = !named.has(field) && !(message === malformed && refused.has(field));
      if (fresh) named.add(field);
      return fresh;
    });
  return [...kept, ...byRules.filter(({ field }) => !named.has(field))];
}
