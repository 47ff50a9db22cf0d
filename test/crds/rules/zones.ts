// Changes of the clock that a schedule has to get over, all in the past, so that no later rule of a government moves them.

/** Zone, a day that the change is in or next to (UTC), and what the clock does. */
export const changes: readonly [zone: string, day: string, what: string][] = [
  ['Europe/Berlin', '2024-03-31', '02:00 becomes 03:00'],
  ['Europe/Berlin', '2024-10-27', '03:00 becomes 02:00'],
  ['America/New_York', '2024-03-10', '02:00 becomes 03:00'],
  ['America/New_York', '2024-11-03', '02:00 becomes 01:00'],
  ['Australia/Lord_Howe', '2024-10-05', '02:00 becomes 02:30'],
  ['Australia/Lord_Howe', '2024-04-06', '02:00 becomes 01:30'],
  ['America/Santiago', '2024-09-08', '00:00 becomes 01:00'],
  ['America/Santiago', '2024-04-07', '24:00 becomes 23:00'],
  ['America/Havana', '2024-03-10', '00:00 becomes 01:00'],
  ['America/Havana', '2024-11-03', '01:00 becomes 00:00'],
  ['Asia/Beirut', '2024-10-26', '24:00 becomes 23:00'],
  ['Africa/Casablanca', '2024-03-10', '03:00 becomes 02:00'],
  ['Africa/Casablanca', '2024-04-14', '02:00 becomes 03:00'],
  ['Antarctica/Troll', '2024-03-31', '01:00 becomes 03:00'],
  ['Antarctica/Troll', '2024-10-27', '03:00 becomes 01:00'],
  ['America/Nuuk', '2024-03-31', '23:00 becomes 24:00'],
  ['America/Nuuk', '2024-10-27', '24:00 becomes 23:00'],
  ['Antarctica/Casey', '2023-03-09', '03:00 becomes 00:00'],
  ['Europe/Dublin', '2024-03-31', '01:00 becomes 02:00, by leaving a winter time'],
  ['Asia/Pyongyang', '2018-05-04', '23:30 becomes 24:00'],
  ['America/Caracas', '2016-05-01', '02:30 becomes 03:00'],
  ['Pacific/Apia', '2011-12-30', 'a day is left out'],
  ['Pacific/Apia', '2012-04-01', '04:00 becomes 03:00'],
  ['Asia/Kathmandu', '2024-03-31', 'nothing'],
];

const day = 86_400_000;

/** Days around the change to look at. */
export function around(date: string, days: number): { from: number; to: number } {
  const middle = Date.parse(`${date}T12:00:00Z`);
  return { from: middle - days * day, to: middle + days * day };
}
