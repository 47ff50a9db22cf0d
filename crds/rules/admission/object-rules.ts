// Rules on the object itself: its name, and what is reserved in its metadata.
import { annotations } from '../names.ts';
import { error, type Finding, type Rule } from './finding.ts';

const reserved = 'dbbackup.io/';
const known: readonly string[] = [annotations.trigger, annotations.triggeredBy];
/** A trigger's value is kept in status and on a Job. */
const longestToken = 253;

/** Whether a value of the trigger annotation may ask for a backup. */
export const isToken = (value: string): boolean => value.length <= longestToken && /^[\x20-\x7e]*$/.test(value);

/** As the API server has it, which is asked after the webhook; the lock's name may be made from it. */
const isDnsName = (text: string): boolean =>
  text.length <= 253 && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(text) && !/\.\.|\.-|-\./.test(text);
const longestName = 48;
/** The API server puts so many letters behind generateName. */
const generated = 5;

const name: Rule = ({ metadata }) => {
  const { name: given, generateName: front } = metadata as { name?: unknown; generateName?: unknown };
  const isNamed = given !== undefined && given !== null && given !== '';
  return [
    ...(isNamed ? nameFindings('metadata.name', given, longestName, isDnsName) : []),
    ...nameFindings('metadata.generateName', front, isNamed ? 253 : longestName - generated, isBeginning),
  ];
};

/** Any letter would do as the first of those that follow. Without a hyphen it must be a name by itself. */
const isBeginning = (text: string): boolean => isDnsName(`${text}a`) && (text.endsWith('-') || isDnsName(text));

function nameFindings(field: string, given: unknown, longest: number, fits: (text: string) => boolean): Finding[] {
  if (given === undefined || given === null || given === '') return [];
  const wrong = (message: string, fix: string): Finding[] => [error(field, given, message, fix)];
  if (typeof given !== 'string') return wrong('is not a text', 'put it in quotes');
  if (given.length > longest)
    return wrong(`is longer than ${longest} characters`, 'choose a shorter name; Job names are made from it');
  return fits(given) ? [] : wrong('is not a DNS name', 'use lower-case letters, digits, - and ., for example orders');
}

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
  const value: unknown = metadata.annotations?.[annotations.trigger];
  // Empty in YAML is null, and an empty text to the API server.
  if (value === undefined || value === null) return [];
  if (typeof value === 'string' && isToken(value)) return [];
  const field = `metadata.annotations[${annotations.trigger}]`;
  return [
    error(field, value, 'is not a plain text of at most 253 characters', 'use a short token, for example a date'),
  ];
};

export const objectRules: readonly Rule[] = [name, reservedKeys, token];
