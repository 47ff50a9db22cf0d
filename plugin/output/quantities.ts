// Sizes, spans and times as people read them.

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes in the largest unit that leaves at least 1. */
export function size(bytes: number | undefined): string {
  if (bytes === undefined || !Number.isFinite(bytes)) return '<unknown>';
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** Milliseconds in words for a sentence: 90 s, 75 min, 26 h, 3 days. */
export function span(milliseconds: number): string {
  const value = Math.max(0, milliseconds);
  if (value < 2 * minute) return `${Math.floor(value / second)} s`;
  if (value < 2 * hour) return `${Math.floor(value / minute)} min`;
  if (value < 2 * day) return `${Math.floor(value / hour)} h`;
  return `${Math.floor(value / day)} days`;
}

/** Milliseconds as a column of kubectl shows them: 45s, 12m, 26h, 3d. */
export function age(milliseconds: number): string {
  const value = Math.max(0, milliseconds);
  if (value < 2 * minute) return `${Math.floor(value / second)}s`;
  if (value < 2 * hour) return `${Math.floor(value / minute)}m`;
  if (value < 2 * day) return `${Math.floor(value / hour)}h`;
  return `${Math.floor(value / day)}d`;
}

/** Reads a time of the API; undefined when it is none. */
export function timeOf(text: string | undefined): Date | undefined {
  const time = new Date(text ?? Number.NaN);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** `2025-03-27 01:00:05` in the zone. */
export function local(time: Date, zone: string): string {
  const parts: Intl.DateTimeFormatOptions = {
    ...{ timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit' },
    ...{ hour: '2-digit', minute: '2-digit', second: '2-digit' },
  };
  return new Intl.DateTimeFormat('sv-SE', parts).format(time);
}

export function isUtc(zone: string): boolean {
  return /^(Etc\/)?(UTC|UCT|Universal|Zulu|GMT)$|^GMT$/.test(zone);
}

/** UTC, and the user's own time beside it where that is another. */
export function utcAndLocal(time: Date | undefined, zone: string): string {
  if (time === undefined) return '<unknown>';
  const utc = `${local(time, 'UTC')} UTC`;
  return isUtc(zone) ? utc : `${utc} (${local(time, zone)} ${zone})`;
}

const lengths: Record<string, number> = { d: day, h: hour, m: minute, s: second };

/** Reads a duration such as 90s, 10m or 1h30m, in milliseconds; undefined when it is none. 0 is a duration. */
export function duration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(\d{1,9}[dhms])+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)([dhms])/g)) total += Number(amount) * (lengths[unit ?? ''] ?? 0);
  return total;
}
