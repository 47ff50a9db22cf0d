// The oracle of schedules: it walks through every minute with Intl alone and reads five resolved fields in the plainest way.

export interface Minute {
  /** The instant, ms. */
  at: number;
  /** The local time, as the ms that it would be in UTC. */
  wall: number;
}

const minute = 60_000;

export function minutesOf(zone: string, from: number, to: number): Minute[] {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  const minutes: Minute[] = [];
  for (let at = from; at <= to; at += minute) {
    const [day = '', month = '', year = '', hour = '', past = ''] = format.format(at).split(/\D+/);
    minutes.push({ at, wall: Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(past)) });
  }
  return minutes;
}

function valuesOf(field: string, min: number, max: number): Set<number> {
  const values = new Set<number>();
  for (const item of field.split(',')) {
    const [range = '', step = '1'] = item.split('/');
    const [from = '', to = from] = range === '*' ? [String(min), String(max)] : range.split('-');
    for (let value = Number(from); value <= Number(to); value += Number(step)) values.add(value);
  }
  return values;
}

/** Whether a local time matches; day of month and day of week are either-or where both are restricted, that is not a star. */
export function matcherOf(resolved: string): (wall: number) => boolean {
  const [minutes = '', hours = '', days = '', months = '', weekdays = ''] = resolved.split(' ');
  const at = {
    minute: valuesOf(minutes, 0, 59),
    hour: valuesOf(hours, 0, 23),
    day: valuesOf(days, 1, 31),
    month: valuesOf(months, 1, 12),
    weekday: new Set([...valuesOf(weekdays, 0, 7)].map((value) => value % 7)),
  };
  return (wall) => {
    const time = new Date(wall);
    if (!at.minute.has(time.getUTCMinutes()) || !at.hour.has(time.getUTCHours())) return false;
    if (!at.month.has(time.getUTCMonth() + 1)) return false;
    const day = at.day.has(time.getUTCDate());
    const weekday = at.weekday.has(time.getUTCDay());
    return days === '*' || weekdays === '*' ? day && weekday : day || weekday;
  };
}

/**
 * The windows among the minutes, by the words of the contract. Hours that all match: every real instant whose wall clock matches.
 * Otherwise every matching wall clock once, at the first instant at which the clock shows it or a later time.
 */
export function windowsAmong(resolved: string, minutes: readonly Minute[]): number[] {
  const matches = matcherOf(resolved);
  const hours = valuesOf(resolved.split(' ')[1] ?? '', 0, 23);
  if (hours.size === 24) return minutes.filter(({ wall }) => matches(wall)).map(({ at }) => at);
  const windows: number[] = [];
  let shown = minutes[0]?.wall ?? 0;
  for (const { at, wall } of minutes.slice(1)) {
    let due = false;
    for (let passed = shown + minute; passed <= wall && !due; passed += minute) due = matches(passed);
    if (due) windows.push(at);
    shown = Math.max(shown, wall);
  }
  return windows;
}
