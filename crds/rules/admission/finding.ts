// One thing that is wrong or risky with an object, and how a rule says it.
import type { DatabaseBackup } from '../../databasebackup.gen.ts';

export interface Finding {
  /** Path of the field, for example spec.storage.s3.bucket. */
  field: string;
  /** What stands there, shortened; absent where the field is. */
  value?: string;
  severity: 'error' | 'warning';
  message: string;
  fix: string;
}

/** What a rule may look at besides the object itself. */
export interface Context {
  /** What is stored now, on an update. */
  old?: DatabaseBackup;
  /** The time, for rules that speak of what is to come. Absent: those stay silent. */
  now?: Date;
}

export type Rule = (next: DatabaseBackup, context: Context) => Finding[];

/** One line for a person: field, value, what is wrong, what to do. */
export function sentence(finding: Finding): string {
  const value = finding.value === undefined ? '' : `${finding.value}: `;
  return `${finding.field}: ${value}${finding.message}; ${finding.fix}`;
}

/** `user:password@host` with the first part hidden. */
function withoutLogin(word: string): string {
  const [colon, at] = [word.indexOf(':'), word.lastIndexOf('@')];
  return colon > 0 && at > colon + 1 ? `***${word.slice(at)}` : word;
}

/** A value for a message: short, and never a secret that was written where a public one belongs. */
export function show(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? 'nothing';
  } catch {
    text = 'a nest too deep to be shown';
  }
  if (/AGE-SECRET-KEY-|PRIVATE KEY/i.test(text)) return '(a secret)';
  // User and password of an address. Word by word, since one expression over the whole would take minutes for a megabyte.
  text = text
    .split(/([\s"/])/)
    .map(withoutLogin)
    .join('');
  return text.length <= 80 ? text : `${text.slice(0, 76)}..."`;
}

export const error = (field: string, value: unknown, message: string, fix: string): Finding => ({
  field,
  ...(value === undefined ? {} : { value: show(value) }),
  severity: 'error',
  message,
  fix,
});

export const warning = (field: string, value: unknown, message: string, fix: string): Finding => ({
  ...error(field, value, message, fix),
  severity: 'warning',
});

/** Exactly one of some members; their absence and their doubling are told apart. */
export function exactlyOne(field: string, value: object, members: readonly string[]): Finding[] {
  const present = members.filter((member) => Object.hasOwn(value, member));
  if (present.length === 1) return [];
  const named = members.join(', ');
  return present.length === 0
    ? [error(field, undefined, `needs exactly one of ${named}, has none`, `add one of ${named}`)]
    : [error(field, undefined, `needs exactly one of ${named}, has ${present.join(' and ')}`, 'keep one of them')];
}

/** Where a list names again what it named before. Looked up and not searched for: nothing has bounded the list yet. */
export function repeats(list: readonly unknown[]): Set<number> {
  const seen = new Set<unknown>();
  return new Set([...list.keys()].filter((index) => seen.size === seen.add(list[index]).size));
}
