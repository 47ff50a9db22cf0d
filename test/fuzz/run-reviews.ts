// Sends raw requests to the admission server as its process runs it, over TLS, several at a time, and checks every answer.
import { Agent, request as send } from 'node:https';
import { pino } from 'pino';
import { authorityOf, makeCertificate } from '../../webhook/certificate.ts';
import { drain, listen } from '../../webhook/listen.ts';
import { admissionServer, application } from '../../webhook/server.ts';
import { checkReply, type Reply } from './review-checks.ts';
import { type RawRequest, requestOf, withBody } from './reviews.ts';
import { shrink } from './shrink.ts';

const inFlight = 4;

class Target {
  readonly port: number;
  readonly agent: Agent;
  /** Lines that the server logged as errors. */
  readonly stumbles: string[];
  readonly stop: () => Promise<void>;

  constructor(port: number, ca: string, stumbles: string[], stop: () => Promise<void>) {
    this.port = port;
    this.agent = new Agent({ keepAlive: true, maxSockets: inFlight, ca });
    this.stumbles = stumbles;
    this.stop = async () => {
      this.agent.destroy();
      await stop();
    };
  }

  ask({ method, path, headers, body }: RawRequest): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const where = { host: '127.0.0.1', port: this.port, agent: this.agent };
      const all = { ...headers, 'content-length': body.length };
      const request = send({ ...where, method, path, headers: all }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text })).on('error', reject);
      });
      request.on('error', reject).end(body);
    });
  }
}

async function startTarget(): Promise<Target> {
  const stumbles: string[] = [];
  const log = pino({ level: 'error', base: null }, { write: (line: string) => void stumbles.push(line) });
  const certificate = await makeCertificate(['127.0.0.1'], '', new Date());
  const { server, connections } = admissionServer(application(log));
  server.setSecureContext({ cert: certificate.cert, key: certificate.key });
  return new Target(await listen(server, 0), authorityOf(certificate), stumbles, () =>
    drain(server, connections, { linger: 0, limit: 100 }),
  );
}

export async function fuzzReviews(count: number, seed: number): Promise<Record<string, number>> {
  const target = await startTarget();
  const unhandled: unknown[] = [];
  const note = (cause: unknown): void => void unhandled.push(cause);
  process.on('unhandledRejection', note);
  const outcomes: Record<string, number> = {};
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let round = next++; round < count; round = next++) {
      const outcome = await outcomeOf(target, requestOf(seed, round));
      if ('why' in outcome) throw new Error(await report(target, requestOf(seed, round), outcome.why, seed, round));
      outcomes[outcome.answer] = (outcomes[outcome.answer] ?? 0) + 1;
    }
  };
  try {
    await Promise.all(Array.from({ length: inFlight }, worker));
    if (target.stumbles.length > 0)
      throw new Error(`fuzz --seed ${seed}: the server logged ${target.stumbles[0]?.slice(0, 2000)}`);
    if (unhandled.length > 0)
      throw new Error(`fuzz --seed ${seed}: a rejection that nobody handled: ${String(unhandled[0])}`);
  } finally {
    next = count;
    process.off('unhandledRejection', note);
    await target.stop();
  }
  return outcomes;
}

async function outcomeOf(target: Target, request: RawRequest): Promise<{ answer: string } | { why: string }> {
  try {
    return { answer: checkReply(request, await target.ask(request)) };
  } catch (cause) {
    return { why: cause instanceof Error ? cause.message : String(cause) };
  }
}

async function report(target: Target, request: RawRequest, why: string, seed: number, round: number): Promise<string> {
  const head = `fuzz --seed ${seed}, review ${round}: ${why}\n${request.method} ${request.path} ${JSON.stringify(request.headers)}\n`;
  const stumble = target.stumbles.at(-1)?.slice(0, 600) ?? '';
  let review: unknown;
  try {
    review = JSON.parse(request.body.toString());
  } catch {
    return `${head}${JSON.stringify(request.body.toString('latin1').slice(0, 2000))}\n${stumble}`;
  }
  const kind = why.slice(0, 12);
  const same = async (candidate: unknown): Promise<boolean> => {
    const outcome = await outcomeOf(target, withBody(request, candidate));
    return 'why' in outcome && outcome.why.startsWith(kind);
  };
  const smallest = (await same(review)) ? await shrink(review, same) : review;
  return `${head}${JSON.stringify(smallest, null, 1).slice(0, 4000)}\n${stumble}`;
}
