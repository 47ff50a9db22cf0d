// The minutes of a stretch of real time with the local time of each, read off Intl one by one. The product reads names of offsets, this dates.

export interface Minute {
  /** The instant, ms. */
  at: number;
  /** The local time, as the ms that it would be in UTC. */
  wall: number;
}

export const minute = 60_000;

/** Reads the clock of a zone, to the minute. */
export function clockOf(zone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  return (at) => {
    const [day = '', month = '', year = '', hour = '', past = ''] = format.format(at).split(/\D+/);
    return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(past));
  };
}

export function minutesOf(zone: string, from: number, to: number): Minute[] {
  const clock = clockOf(zone);
  const minutes: Minute[] = [];
  for (let at = from; at <= to; at += minute) minutes.push({ at, wall: clock(at) });
  return minutes;
}
