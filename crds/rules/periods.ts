// The hour, day, week, month and year that an instant falls into, in a zone, by names that sort and that people read. Pure.
import { offsetAt } from './zone.ts';

export type Period = 'hour' | 'day' | 'week' | 'month' | 'year';

const dayMilliseconds = 86_400_000;
const thursday = 4;

const pad = (value: number, length = 2): string => String(value).padStart(length, '0');

/** ISO 8601: weeks begin on Monday and belong to the year that their Thursday is in. */
function isoWeek(wall: Date): string {
  const weekday = wall.getUTCDay() || 7;
  const middle = new Date(wall.getTime() + (thursday - weekday) * dayMilliseconds);
  const year = middle.getUTCFullYear();
  const days = Math.floor((middle.getTime() - Date.UTC(year, 0, 1)) / dayMilliseconds);
  return `${pad(year, 4)}-W${pad(Math.floor(days / 7) + 1)}`;
}

/** Of an hour that occurs twice, both are told apart by their offset. */
function hourOf(day: string, wall: Date, offset: number): string {
  const minutes = Math.abs(offset) / 60_000;
  const sign = offset < 0 ? '-' : '+';
  return `${day}T${pad(wall.getUTCHours())}${sign}${pad(Math.floor(minutes / 60))}:${pad(Math.floor(minutes % 60))}`;
}

/** Names of all periods of an instant, for example 2026-11-21T01+01:00, 2026-11-21, 2026-W47, 2026-11 and 2026. */
export function periodsOf(instant: number, zone: string): Record<Period, string> {
  const offset = offsetAt(instant, zone);
  const wall = new Date(instant + offset);
  const year = pad(wall.getUTCFullYear(), 4);
  const month = `${year}-${pad(wall.getUTCMonth() + 1)}`;
  const day = `${month}-${pad(wall.getUTCDate())}`;
  return { hour: hourOf(day, wall, offset), day, week: isoWeek(wall), month, year };
}
