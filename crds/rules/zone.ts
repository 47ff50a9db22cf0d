// Wall clocks and instants: what a local time means in a zone, daylight saving included. A "wall" is a local time written as the
// milliseconds it would be in UTC.

const formats = new Map<string, Intl.DateTimeFormat>();
const day = 86_400_000;

/** One formatter a zone, made once: they are slow to make and quick to use. Case is no difference, so there are some 600 at the most. */
function formatOf(zone: string): Intl.DateTimeFormat {
  const key = zone.toLowerCase();
  const known = formats.get(key);
  if (known !== undefined) return known;
  // The hour is there only because the name of the zone alone would bring the whole date along, which takes longer to write.
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset', hour: '2-digit' });
  formats.set(key, format);
  return format;
}

/** Whether the name is an IANA time zone, by name: no offsets, no "Local". */
export function isZone(zone: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+){0,2}$/.test(zone)) return false;
  try {
    formatOf(zone);
    return true;
  } catch {
    return false;
  }
}

/**
 * Milliseconds that the zone's wall clock is ahead of UTC at an instant.
 * Read from "01 PM GMT-09:30": that takes a fifth of the time that the parts of a date take, and nearly all of a window's time goes here.
 */
export function offsetAt(instant: number, zone: string): number {
  const text = formatOf(zone).format(instant);
  const [found, sign, hours = '0', minutes = '0', seconds = '0'] =
    /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text) ?? [];
  if (found === undefined)
    throw new Error(`reading the offset of ${zone}: "${text}" names none; use the Node of this project`);
  const ahead = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return sign === '-' ? -ahead : ahead;
}

/** The first instant in (from, to] at which the offset is no longer that of `from`; to the second. */
export function transition(from: number, to: number, zone: string): number {
  const before = offsetAt(from, zone);
  let low = Math.floor(from / 1000);
  let high = Math.floor(to / 1000);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * 1000, zone) === before) low = middle;
    else high = middle;
  }
  return high * 1000;
}

/**
 * The instant of a local time. One in a gap moves to the first instant after the gap, one that occurs twice is its first occurrence.
 * It looks one day and a bit to either side, so one change of offset in that time is understood.
 */
export function instantOf(wall: number, zone: string): number {
  const early = wall - 1.1 * day;
  const late = wall + 1.1 * day;
  const before = offsetAt(early, zone);
  const after = offsetAt(late, zone);
  if (before === after) return wall - before;
  const first = wall - before;
  if (offsetAt(first, zone) === before) return first;
  const second = wall - after;
  if (offsetAt(second, zone) === after) return second;
  return transition(early, late, zone);
}
