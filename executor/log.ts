// The log: JSON lines on standard output, from which every value that was read as a secret is struck out.
import { destination, type Logger, pino } from 'pino';

/** Shorter values would strike out parts of ordinary words. */
const shortestSecret = 8;

/** Values that must not appear in anything the executor writes. */
export class Secrets {
  readonly #values = new Set<string>();

  /** As it is, and as JSON and a URL would write it. */
  add(value: string): void {
    if (value.length < shortestSecret) return;
    this.#values.add(value);
    this.#values.add(JSON.stringify(value).slice(1, -1));
    this.#values.add(encodeURIComponent(value.toWellFormed()));
  }

  strike(text: string): string {
    let clean = text;
    // The longest first: one that begins another would leave the other's end.
    for (const value of [...this.#values].sort((a, b) => b.length - a.length))
      clean = clean.replaceAll(value, '[secret]');
    return clean;
  }
}

export function createLog(secrets: Secrets): Logger {
  return pino(
    {
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
      hooks: { streamWrite: (line) => secrets.strike(line) },
    },
    // Written at once: the process ends by process.exit, and what is buffered then is lost.
    destination({ fd: 1, sync: true }),
  );
}
