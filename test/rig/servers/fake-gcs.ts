// A server that speaks Google Cloud Storage (fake-gcs-server, everything in its memory) on this host for one test file, gone after stop().
// It asks nobody who he is, and takes a question for a session's state for the end of the upload: neither is proven with it.
import { binary } from '../binaries.ts';
import type { Log } from '../progress.ts';
import { startChild } from './child.ts';
import { newPlace, removePlace, untilReady, withFreePort } from './place.ts';

export interface FakeGcs {
  endpoint: string;
  /** At least three characters, as everywhere at Google. */
  createBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startFakeGcs({ log }: { log: Log }): Promise<FakeGcs> {
  const program = await binary('fake-gcs-server', log);
  const place = await newPlace('fake-gcs');
  try {
    return await withFreePort(async (port) => {
      const endpoint = `http://127.0.0.1:${port}`;
      const where = ['-scheme', 'http', '-host', '127.0.0.1', '-port', String(port), '-external-url', endpoint];
      const child = await startChild([program, ...where, '-backend', 'memory', '-log-level', 'error'], {
        env: { PATH: process.env['PATH'] },
        cwd: place,
      });
      const ready = () =>
        fetch(`${endpoint}/_internal/healthcheck`).then(
          ({ ok }) => ok,
          () => false,
        );
      await untilReady('fake-gcs-server', child, ready);
      const createBucket = async (name: string) => {
        const headers = { 'content-type': 'application/json' };
        const body = JSON.stringify({ name });
        const { status } = await fetch(`${endpoint}/storage/v1/b`, { method: 'POST', headers, body });
        if (status !== 200) throw new Error(`create bucket "${name}": HTTP ${status}`);
      };
      const stop = async () => {
        await child.stop();
        await removePlace(place);
      };
      return { endpoint, createBucket, stop };
    });
  } catch (error) {
    await removePlace(place);
    throw error;
  }
}
