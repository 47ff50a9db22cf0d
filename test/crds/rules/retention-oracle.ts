// The rules of retention said once more, as plainly as they can be: for each snapshot by itself, from all the others, with no walk and no
// state. The calendar is asked in another way too.
import type { RetainedSnapshot, RetentionPolicy } from '../../../crds/rules/retention.ts';

const day = 86_400_000;
const unit = { h: day / 24, d: day, w: 7 * day } as const;

/** Newer, and of two at one time the one with the greater id. */
export const isNewer = (a: RetainedSnapshot, b: RetainedSnapshot): boolean =>
  a.time.getTime() > b.time.getTime() || (a.time.getTime() === b.time.getTime() && a.id > b.id);

const formats = new Map<string, Intl.DateTimeFormat>();

function parts(time: Date, zone: string): Record<string, string> {
  const options = { timeZone: zone, hourCycle: 'h23', timeZoneName: 'longOffset' } as const;
  const fields = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit' } as const;
  const format = formats.get(zone) ?? new Intl.DateTimeFormat('en-CA', { ...options, ...fields });
  formats.set(zone, format);
  return Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, value]));
}

/** Counted from Monday, 5 January 1970: every week has a number, and its name is found by its Thursday's day of the year. */
function week(date: string): string {
  const number = Math.floor((Date.parse(date) / day + 3) / 7);
  const thursday = new Date(number * 7 * day);
  const first = new Date(Date.UTC(thursday.getUTCFullYear(), 0, 1));
  let index = 1;
  for (let at = first.getTime() + 7 * day; at <= thursday.getTime(); at += 7 * day) index++;
  return `${thursday.getUTCFullYear()}-W${String(index).padStart(2, '0')}`;
}

const known = new Map<string, Record<string, string>>();

function periods(time: Date, zone: string): Record<string, string> {
  const key = `${time.getTime()} ${zone}`;
  const found = known.get(key) ?? periodsAnew(time, zone);
  known.set(key, found);
  return found;
}

function periodsAnew(time: Date, zone: string): Record<string, string> {
  const { year = '', month = '', day: date = '', hour = '', timeZoneName = '' } = parts(time, zone);
  const offset = timeZoneName.replace('GMT', '').slice(0, 6) || '+00:00';
  const full = `${year}-${month}-${date}`;
  return {
    keepHourly: `${full}T${hour}${offset}`,
    keepDaily: full,
    keepWeekly: week(full),
    keepMonthly: `${year}-${month}`,
    keepYearly: year,
  };
}

/** Each snapshot is the newest of its period, and fewer than n other periods are newer. */
function periodReasons(policy: RetentionPolicy, one: RetainedSnapshot, newer: readonly RetainedSnapshot[]): string[] {
  const zone = policy.timeZone ?? 'UTC';
  return (['keepHourly', 'keepDaily', 'keepWeekly', 'keepMonthly', 'keepYearly'] as const).flatMap((rule) => {
    const count = policy[rule];
    if (count === undefined) return [];
    const own = periods(one.time, zone)[rule] ?? '';
    const others = new Set(newer.map(({ time }) => periods(time, zone)[rule]));
    return !others.has(own) && others.size < count ? [`${rule} ${count}: ${own}`] : [];
  });
}

function superseded(one: RetainedSnapshot, newer: readonly RetainedSnapshot[], now: Date): string[] {
  const others = newer.filter(({ identity }) => identity !== undefined && identity !== '');
  if (!one.identity || others.length === 0 || others.some(({ identity }) => identity === one.identity)) return [];
  const next = others.find((other) => others.every((third) => third === other || isNewer(third, other)));
  const times = [next?.time, next?.identitySince].flatMap((time) => (time === undefined ? [] : [time.getTime()]));
  const until = Math.min(...times) + 30 * day;
  return now.getTime() <= until
    ? [`last of another database, until ${new Date(until).toISOString().slice(0, 10)}`]
    : [];
}

export function reasonsFor(
  policy: RetentionPolicy,
  one: RetainedSnapshot,
  all: readonly RetainedSnapshot[],
  now: Date,
): string[] {
  const newer = all.filter((other) => isNewer(other, one));
  const within = /^(\d+)([hdw])$/.exec(policy.keepWithin ?? '');
  const limit = within === null ? -Infinity : Number(within[1]) * unit[within[2] as 'h' | 'd' | 'w'];
  return [
    ...(newer.length === 0 ? ['newest'] : []),
    ...(policy.pin?.includes(one.id) ? ['pinned'] : []),
    ...(policy.keepLast !== undefined && newer.length < policy.keepLast ? [`keepLast ${policy.keepLast}`] : []),
    ...(now.getTime() - one.time.getTime() <= limit ? [`keepWithin ${policy.keepWithin}`] : []),
    ...periodReasons(policy, one, newer),
    ...superseded(one, newer, now),
  ];
}
