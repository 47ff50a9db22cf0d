// The grammar of spec.schedule: strict, so that nothing is accepted that a reader would take for something else.
// cron-parser accepts far more (an empty text is "every minute" to it), so it only sees what has passed here.
import { createHash } from 'node:crypto';

interface Field {
  name: string;
  min: number;
  max: number;
  names?: readonly string[];
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const fields: readonly Field[] = [
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day of month', min: 1, max: 31 },
  { name: 'month', min: 1, max: 12, names: months },
  { name: 'day of week', min: 0, max: 7, names: days },
];

const macros: Record<string, string> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** A schedule that is not one: message says what is wrong, fix what to write instead. */
export class ScheduleError extends Error {
  readonly fix: string;
  constructor(message: string, fix: string) {
    super(message);
    this.name = 'ScheduleError';
    this.fix = fix;
  }
}

/**
 * Checks a schedule and resolves its @ names and H.
 * @param seed `namespace/name`; H is a stable hash of it
 * @returns five fields that cron-parser understands as a reader does
 * @throws ScheduleError
 */
export function resolveCron(text: string, seed: string): string {
  if (text.length > 128) throw new ScheduleError(`it is ${text.length} characters long`, 'use at most 128 characters');
  // Before trim, which takes away more than a reader and the CRD's own rule would.
  const odd = /[^\x20-\x7e\t\r\n]/.exec(text);
  if (odd !== null)
    throw new ScheduleError(`illegal character ${JSON.stringify(odd[0])}`, 'use digits, names, * , - / and H');
  const written = text.trim();
  if (written.startsWith('@')) {
    const expanded = macros[written];
    if (expanded !== undefined) return expanded;
    throw new ScheduleError(`"${written}" is not a known name`, `use one of ${Object.keys(macros).join(', ')}`);
  }
  if (/(^|\s)(CRON_)?TZ=/.test(written))
    throw new ScheduleError('it names a time zone', 'put the zone into spec.timeZone');
  const illegal = /[^0-9A-Za-z*,/ \t-]/.exec(written);
  if (illegal !== null)
    throw new ScheduleError(`illegal character ${JSON.stringify(illegal[0])}`, 'use digits, names, * , - / and H');
  const parts = written.split(/[ \t]+/).filter((part) => part !== '');
  if (parts.length !== 5)
    throw new ScheduleError(
      `expected 5 fields, got ${parts.length}`,
      'write minute, hour, day of month, month and day of week, for example "0 1 * * *"',
    );
  return fields.map((field, index) => resolveField(field, parts[index] ?? '', `${seed}/${field.name}`)).join(' ');
}

function resolveField(field: Field, text: string, seed: string): string {
  const items = text.split(',').map((item) => {
    if (item === '') throw new ScheduleError(`empty list item in ${field.name} "${text}"`, 'remove the extra comma');
    return resolveItem(field, item, seed);
  });
  if (items.includes('*')) return '*';
  const values = items.flatMap((item) => valuesOf(field, item));
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  // cron-parser refuses a value that is named twice, as in 1-5,3 or 0,7.
  return distinct.length === values.length ? items.join(',') : distinct.join(',');
}

/** The values of a resolved item; Sunday is 0. */
function valuesOf(field: Field, item: string): number[] {
  const [range = '', step = '1'] = item.split('/');
  const [from, to = from] = range === '*' ? [field.min, field.max] : range.split('-').map(Number);
  const values: number[] = [];
  for (let value = from ?? 0; value <= (to ?? 0); value += Number(step))
    values.push(field.name === 'day of week' ? value % 7 : value);
  return values;
}

function resolveItem(field: Field, item: string, seed: string): string {
  const [range = '', stepText, ...rest] = item.split('/');
  if (rest.length > 0) throw new ScheduleError(`"${item}" in ${field.name} has two steps`, 'use one /');
  const size = field.max - field.min + 1;
  const step = stepText === undefined ? undefined : readStep(field, item, stepText, size);
  if (range === 'H') return hashed(field, seed, step);
  // As in Vixie cron and Kubernetes */1 is the star itself; with both kinds of day restricted it would be one of two.
  if (range === '*') return step === undefined || step === 1 ? '*' : `*/${step}`;
  const [fromText = '', toText, ...more] = range.split('-');
  if (more.length > 0) throw new ScheduleError(`"${item}" in ${field.name} is not a range`, 'write it as a-b');
  const from = readValue(field, fromText);
  const to = toText === undefined ? undefined : readValue(field, toText);
  if (to !== undefined && from > to)
    throw new ScheduleError(`range ${range} in ${field.name} is reversed`, `write ${toText}-${fromText} or two items`);
  const end = to ?? (step === undefined ? from : field.max);
  return `${from === end && step === undefined ? from : `${from}-${end}`}${step === undefined ? '' : `/${step}`}`;
}

function readStep(field: Field, item: string, text: string, size: number): number {
  const step = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(step >= 1 && step <= size))
    throw new ScheduleError(
      `step in ${field.name} "${item}" must be 1 to ${size}`,
      `write for example */${size > 12 ? 15 : 2}`,
    );
  return step;
}

function readValue(field: Field, text: string): number {
  const named = field.names?.indexOf(text.toLowerCase()) ?? -1;
  if (named >= 0) return named + (field.min === 1 ? 1 : 0);
  const value = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= field.min && value <= field.max))
    throw new ScheduleError(
      `${field.name} "${text}" is out of range ${field.min}-${field.max}`,
      `use ${field.min} to ${field.max}${field.names === undefined ? '' : ` or ${field.names.slice(0, 2).join(', ')} ...`}`,
    );
  return value;
}

/** H: one stable value of the field; H/n: every n, from a stable offset. Day of month stops at 28, so that no month is skipped. */
function hashed(field: Field, seed: string, step: number | undefined): string {
  const number = createHash('sha256').update(seed).digest().readUInt32BE(0);
  const max = field.name === 'day of month' ? 28 : field.name === 'day of week' ? 6 : field.max;
  if (step === undefined) return String(field.min + (number % (max - field.min + 1)));
  return `${field.min + (number % Math.min(step, max - field.min + 1))}-${max}/${step}`;
}
