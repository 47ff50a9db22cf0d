// Rules on the object itself: its name, and what is reserved in its metadata.
import { annotations, labels } from '../names.ts';
import { error, type Rule } from './finding.ts';

const reserved = 'dbbackup.io/';
const known: readonly string[] = [annotations.trigger, annotations.triggeredBy];
/** A trigger's value is kept in status and on a Job. */
export const longestToken = 253;

const name: Rule = ({ metadata }) =>
  (metadata.name?.length ?? 0) <= 48
    ? []
    : [
        error(
          'metadata.name',
          metadata.name,
          'is longer than 48 characters',
          'choose a shorter name; Job names are made from it',
        ),
      ];

/** A misspelt annotation of ours would do nothing, silently. */
const reservedKeys: Rule = ({ metadata }) => {
  const wrong = (kind: 'annotations' | 'labels', allowed: readonly string[]) =>
    Object.keys(metadata[kind] ?? {})
      .filter((key) => key.startsWith(reserved) && !allowed.includes(key))
      .slice(0, 8)
      .map((key) => {
        const fix = allowed.length === 0 ? 'use another prefix' : `use one of ${allowed.join(', ')}, or another prefix`;
        return error(`metadata.${kind}`, key, `is reserved for dbbackup`, fix);
      });
  return [...wrong('annotations', known), ...wrong('labels', [])];
};

const token: Rule = ({ metadata }) => {
  const value = metadata.annotations?.[annotations.trigger];
  if (value === undefined || (value.length <= longestToken && /^[\x20-\x7e]*$/.test(value))) return [];
  const field = `metadata.annotations[${annotations.trigger}]`;
  return [
    error(field, value, 'is not a plain text of at most 253 characters', 'use a short token, for example a date'),
  ];
};

/** Labels that are made on Jobs and pods; users cannot set them. */
export const madeLabels: readonly string[] = Object.values(labels);

export const objectRules: readonly Rule[] = [name, reservedKeys, token];
