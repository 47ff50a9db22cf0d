// What fake-gcs-server gets wrong about resumable uploads, put right in the proxy before it: asked how much of an upload it has, it takes
// the question for the end of the upload. Here the question is answered as Google's documentation says, from the chunks that went through.
import type { Fault, Request } from '../../executor/s3-proxy.ts';

interface Session {
  /** Bytes that the server has. */
  stored: number;
  /** The object is there. */
  whole: boolean;
}

const sent = /^bytes (\d+)-(\d+)\/(\d+|\*)$/;

export class GcsSessions {
  readonly #upstream: string;
  readonly #bucket: string;
  readonly #sessions = new Map<string, Session>();

  constructor(upstream: string, bucket: string) {
    this.#upstream = upstream;
    this.#bucket = bucket;
  }

  /** To be called when the server has answered. */
  note({ method, path, headers }: Request, range = headers['content-range'] ?? ''): void {
    const match = sent.exec(range);
    if (method !== 'PUT' || match === null) return;
    const stored = Number(match[2]) + 1;
    this.#sessions.set(path, { stored, whole: stored === Number(match[3]) });
  }

  /** The answer where the request is a question. */
  async answer({ method, path, headers }: Request): Promise<Fault | undefined> {
    if (method !== 'PUT' || !/^bytes \*\//.test(headers['content-range'] ?? '')) return undefined;
    const { stored, whole } = this.#sessions.get(path) ?? { stored: 0, whole: false };
    if (!whole) return { status: 308, body: '', headers: stored === 0 ? {} : { range: `bytes=0-${stored - 1}` } };
    const name = new URL(path, this.#upstream).searchParams.get('name') ?? '';
    const object = await fetch(`${this.#upstream}/storage/v1/b/${this.#bucket}/o/${encodeURIComponent(name)}`);
    return { status: 200, body: await object.text() };
  }
}
