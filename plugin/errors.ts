// How a command can end otherwise than well, each with the exit code that the help text documents.

export const exitCodes = { ok: 0, error: 1, usage: 2, failed: 3, timeout: 124, interrupt: 130 } as const;

/** An end with a message for the user, one line or a few. */
export class CommandError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number = exitCodes.error) {
    super(message);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

/** The command line is wrong; main adds where help is found. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(message, exitCodes.usage);
    this.name = 'UsageError';
  }
}

/** The API server refused, with its own words. */
export class ApiError extends Error {
  readonly status: number;
  /** The server's word for it, for example NotFound. */
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
  }
}

/** True for an answer that another try may change: the server is busy or broken, or there was no answer. */
export function mayPass(error: unknown): boolean {
  if (error instanceof ApiError) return error.status === 429 || error.status >= 500;
  return error instanceof Error && !(error instanceof CommandError) && error.cause !== undefined;
}

/** What a user reads, in the words that kubectl uses for the same thing. */
export function describeError(error: unknown): string {
  if (error instanceof ApiError)
    return `Error from server${error.reason === '' ? '' : ` (${error.reason})`}: ${error.message}`;
  if (error instanceof CommandError) return `error: ${error.message}`;
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  const cause = error.cause instanceof Error ? error.cause : undefined;
  if (cause === undefined) return `error: ${error.message}`;
  // A refused connection to several addresses is an AggregateError with an empty message.
  const code = 'code' in cause ? String(cause.code) : cause.name;
  return `Unable to connect to the server: ${cause.message === '' ? code : cause.message}`;
}
