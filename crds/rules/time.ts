// A time as status takes it. Date.parse alone makes the second of March of the thirtieth of February; the API server refuses such a one.

const form = /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Whether the text is a moment in RFC 3339: a day of the calendar and a time of that day. */
export function isTime(text: string): boolean {
  const day = form.exec(text)?.[1];
  if (day === undefined) return false;
  const midnight = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
}
