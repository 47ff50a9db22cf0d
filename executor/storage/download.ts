// Reads an object from a store over HTTP. A connection that breaks off, or an answer that is shorter than the object, is gone on with from
// the byte that was to come.
import { RunError } from '../errors.ts';
import { type Ask, type HttpClient, mayPass } from './http-client.ts';

/** Times that nothing at all may come in a row before the download is given up. */
const mostIdleTries = 5;

/**
 * @param span the first byte wanted and how many at the most, and the size of the whole object, which the request must name so that no
 * other is read in its stead
 * @param fail makes what is thrown out of what went wrong
 */
export async function* download(
  client: HttpClient,
  ask: Ask,
  { start, length = Number.POSITIVE_INFINITY, size }: { start: number; length?: number | undefined; size: number },
  fail: (error: unknown) => Error,
): AsyncGenerator<Buffer, void, void> {
  const end = Math.min(size, start + length);
  let at = start;
  for (let idle = 0; at < end; idle++) {
    const before = at;
    const isWhole = at === 0 && end === size;
    const headers = isWhole ? ask.headers : { ...ask.headers, range: `bytes=${at}-${end - 1}` };
    const asking = client.ask({ ...ask, headers, expect: [isWhole ? 200 : 206] });
    const { body } = await asking.catch((error: unknown) => {
      throw fail(error);
    });
    let broke: unknown;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        at += chunk.length;
        yield chunk;
      }
    } catch (error) {
      broke = error;
      if (!mayPass(error)) throw fail(error);
    } finally {
      body.destroy();
    }
    if (at > before) idle = -1;
    if (idle >= mostIdleTries) throw fail(broke ?? Object.assign(new Error('too short'), { code: 'ECONNRESET' }));
  }
  if (at > end) throw new RunError('DigestMismatch', `read an object up to byte ${end}: the store sent ${at}`);
}
