// A finding with its place: what every form of output is made from.
import type { Finding } from '../../crds/rules/validate.ts';
import type { Position } from './documents.ts';

/** What found it; stable, since code scanners remember findings by it. */
export const rules = {
  unreadable: 'The file or document cannot be read as YAML or JSON.',
  kind: 'apiVersion or kind of dbbackup is misspelt.',
  value: 'A key or value does not mean what it seems to.',
  metadata: 'The API server would refuse the metadata.',
  'unknown-field': 'The schema does not know the field.',
  'empty-field': 'The field is null, which counts as absent.',
  admission: 'The admission rules of dbbackup.',
  'same-name': 'Two documents are the same object.',
  'same-place': 'Two backups write to the same place.',
} as const;

export type RuleId = keyof typeof rules;

export interface Placed extends Finding, Position {
  rule: RuleId;
  /** As the user named it. */
  file: string;
  /** Empty where it is not known. */
  kind: string;
  namespace: string;
  name: string;
}

export interface Report {
  objects: number;
  passedOver: number;
  findings: Placed[];
}

/** One line for a person. What cannot be read has no field. */
export function inOneLine({ field, value, message, fix }: Finding): string {
  return [field, value, `${message}; ${fix}`].filter((part) => part !== undefined && part !== '').join(': ');
}
