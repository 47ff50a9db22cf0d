// Reads an object from a store over HTTP. A connection that breaks off, or an answer that is shorter than the object, is gone on with from
// the byte that was to come.
import { RunError } from '../errors.ts';
import { type Ask, type HttpClient, mayPass } from './http-client.ts';

/** Times that nothing at all may come in a row before the download is given up. */
const mostIdleTries = 5;

/**
 * @param start first byte wanted
 * @param size of the whole object, which the request must name so that no other is read in its stead
 * @param fail makes what is thrown out of what went wrong
 */
export async function* download(
  client: HttpClient,
  ask: Ask,
  start: number,
  size: number,
  fail: (error: unknown) => Error,
): AsyncGenerator<Buffer, void, void> {
  let at = start;
  for (let idle = 0; at < size; idle++) {
    const before = at;
    const headers = at === 0 ? ask.headers : { ...ask.headers, range: `bytes=${at}-` };
    const asking = client.ask({ ...ask, headers, expect: [at === 0 ? 200 : 206] });
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
  if (at > size) throw new RunError('DigestMismatch', `read an object of ${size} bytes: the store sent ${at}`);
}
