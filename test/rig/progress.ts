// A sign of life for work that takes long: what is being done, and for how many seconds.

export type Log = (line: string) => void;

/** Logs `what` with the seconds gone by, every five seconds, until `work` settles. Quick work logs nothing. */
export async function withProgress<T>(what: string, log: Log, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const timer = setInterval(() => log(`${what} ... ${Math.round((performance.now() - started) / 1000)} s`), 5000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
