// The requests to one store: each is signed, tried again within bounds when the failure may pass, and tells the store's clock.
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, RunError, reasonOfCode } from '../errors.ts';
import type { Agents } from './agents.ts';
import { exchange, type HttpAnswer, type HttpRequest, readAll } from './http.ts';

/** Tries of one request, the first included. The waits between them double, up to 20 s: together half a minute to a minute. */
const defaultAttempts = 10;
const firstWaitMilliseconds = 200;
const longestWaitMilliseconds = 20_000;
/** Of a refusal; what is further behind does not say what is wrong. */
const largestRefusal = 65_536;

/** Statuses of a store that is busy, is told to wait or has lost its way for a moment. */
const passing = new Set([408, 429, 500, 502, 503, 504]);

/** A store's answer that is none of those that were asked for. Holds nothing of its text but the code. */
export class HttpError extends Error {
  override name = 'HttpError';
  readonly status: number;
  /** The store's own name for what is wrong, empty where it has none. */
  readonly error: string;

  constructor(status: number, error: string) {
    super(`${error === '' ? 'the store refused' : error} (HTTP ${status})`);
    this.status = status;
    this.error = error;
  }
}

export interface Dialect {
  /** The request with the proof of who asks; with `renew` not the proof that was refused. */
  sign(request: HttpRequest, renew: boolean): Promise<HttpRequest>;
  /** Whether the proof itself was refused, beside each 401: it may have been replaced since it was read. */
  isProofRefused?(answer: HttpAnswer): boolean;
  /** The code in a refusal. */
  errorOf(answer: HttpAnswer, body: string): string;
}

export interface Ask extends HttpRequest {
  /** Statuses that are an answer to this request, by default all below 300. */
  expect?: readonly number[];
  /** Tries of this request; 1 where who asks tries again. */
  attempts?: number;
}

/** Half to all of the wait: clients that failed together must not come back together. */
function waitBefore(attempt: number): number {
  const wait = Math.min(longestWaitMilliseconds, firstWaitMilliseconds * 2 ** (attempt - 1));
  return wait * (0.5 + Math.random() / 2);
}

/** Whether the same request may go through a moment later. */
export function mayPass(error: unknown): boolean {
  if (error instanceof HttpError) return passing.has(error.status);
  if (error instanceof RunError) return error.reason === 'StorageUnreachable';
  const code = codeOf(error);
  return reasonOfCode(code) === 'StorageUnreachable' && !/^(CERT_|ERR_TLS|ERR_SSL|UNABLE_TO|.*SELF_SIGNED)/.test(code);
}

export class HttpClient {
  readonly #agents: Agents;
  readonly #dialect: Dialect;
  readonly #now: () => Date;
  readonly #attempts: number;
  #ahead: number | undefined;

  constructor(agents: Agents, dialect: Dialect, now: () => Date, attempts = defaultAttempts) {
    this.#agents = agents;
    this.#dialect = dialect;
    this.#now = now;
    this.#attempts = attempts;
  }

  clockAhead(): number | undefined {
    return this.#ahead;
  }

  close(): void {
    this.#agents.httpAgent.destroy();
    this.#agents.httpsAgent.destroy();
  }

  /** Resolves to an answer with one of the expected statuses, whose body must be read or destroyed. */
  async ask(ask: Ask): Promise<HttpAnswer> {
    return this.retry(() => this.#once(ask), ask);
  }

  /** As ask, for answers that are small or of no interest. */
  async read(ask: Ask): Promise<{ answer: HttpAnswer; body: Buffer }> {
    return this.retry(async () => {
      const answer = await this.#once(ask);
      return { answer, body: await readAll(answer) };
    }, ask);
  }

  /** Calls an action again while its failures may pass: at most so often as one request is tried. */
  async retry<T>(
    action: (attempt: number) => Promise<T>,
    { signal, attempts = this.#attempts }: Pick<Ask, 'signal' | 'attempts'>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      try {
        return await action(attempt);
      } catch (error) {
        if (signal?.aborted === true) throw signal.reason;
        if (attempt >= attempts || !mayPass(error)) throw error;
      }
      await sleep(waitBefore(attempt), undefined, signal === undefined ? {} : { signal }).catch(() => {});
    }
  }

  async #once(ask: Ask): Promise<HttpAnswer> {
    let answer = await this.#send(ask, false);
    if (answer.status === 401 || this.#dialect.isProofRefused?.(answer) === true) {
      // A token may have been withdrawn before it expired, a key replaced.
      await readAll(answer, largestRefusal).catch(() => {});
      answer = await this.#send(ask, true);
    }
    const { expect } = ask;
    if (expect === undefined ? answer.status < 300 : expect.includes(answer.status)) return answer;
    const text = await readAll(answer, largestRefusal).catch(() => Buffer.alloc(0));
    throw new HttpError(answer.status, codeLike(this.#dialect.errorOf(answer, text.toString('utf8'))));
  }

  async #send(ask: Ask, renew: boolean): Promise<HttpAnswer> {
    const answer = await exchange(this.#agents, await this.#dialect.sign(ask, renew));
    const date = Date.parse(answer.header('date'));
    if (!Number.isNaN(date)) this.#ahead = this.#now().getTime() - date;
    return answer;
  }
}

/** Only what looks like a code: the store's text could hold anything. */
function codeLike(text: string): string {
  return /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(text) ? text : '';
}
