// The log: JSON lines on standard output, from which every value that was read as a secret is struck out.
import { destination, type Logger, pino } from 'pino';

/** Shorter values would strike out parts of ordinary words. */
const shortestSecret = 8;

/** Values that must not appear in anything the executor writes. */
export class Secrets {
  readonly #values = new Set<string>();

  add(value: string): void {
    if (value.length < shortestSecret) return;
    this.#values.add(value);
    this.#values.add(JSON.stringify(value).slice(1, -1));
  }

  strike(text: string): string {
    let clean = text;
    for (const value of this.#values) clean = clean.replaceAll(value, '[secret]');
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
