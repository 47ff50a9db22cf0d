// A snapshot's bytes, each pass of which ends well only when they are what the manifest tells.
import type { Manifest } from '../crds/rules/manifest.ts';
import { download } from './download.ts';
import { RunError } from './errors.ts';
import type { Run } from './run.ts';
import type { Storage } from './storage/storage.ts';
import { decompress } from './stream/decompress.ts';
import { decrypt } from './stream/decrypt.ts';
import { type AsideMeasure, DigestThread } from './stream/digest-thread.ts';
import { lent } from './stream/release.ts';

const progressMilliseconds = 10_000;

async function compare(
  meter: AsideMeasure,
  what: string,
  id: string,
  expected: { size: number; sha256: string },
): Promise<void> {
  const found = { size: meter.bytes, sha256: await meter.sha256() };
  if (found.size !== expected.size)
    throw new RunError(
      'DigestMismatch',
      `compare "${id}": ${found.size} ${what} bytes, its manifest tells ${expected.size}`,
    );
  if (found.sha256 !== expected.sha256)
    throw new RunError(
      'DigestMismatch',
      `compare "${id}": the ${what} bytes have the digest ${found.sha256}, its manifest tells ${expected.sha256}`,
    );
}

async function* counted(run: Run, meter: AsideMeasure, source: AsyncIterable<Buffer>, doing: string) {
  const progress = setInterval(() => run.log.info({ stored: meter.bytes, doing }, 'progress'), progressMilliseconds);
  try {
    yield* meter.pass(source);
  } finally {
    clearInterval(progress);
  }
}

/** One pass over a snapshot: what takes its digests, and what ends what is still being read when the pass is over. */
class Pass {
  readonly thread = new DigestThread();
  readonly signal: AbortSignal;
  readonly #over = new AbortController();

  constructor(run: Run) {
    this.signal = AbortSignal.any([run.signal, this.#over.signal]);
  }

  async end(): Promise<void> {
    this.#over.abort(new RunError('Canceled', 'read no further'));
    await this.thread.close();
  }
}

/** The stored bytes. Ends with DigestMismatch when they are others than were committed. */
async function* stored(
  pass: Pass,
  run: Run,
  storage: Storage,
  manifest: Manifest,
  doing: string,
): AsyncGenerator<Buffer, void, void> {
  const { id, key, storedSize: size, storedSha256: sha256 } = manifest;
  const meter = pass.thread.measure();
  yield* counted(run, meter, download(storage, { key, size }, pass.signal), doing);
  await compare(meter, 'stored', id, { size, sha256 });
}

/** Reads the whole object once and compares it with its manifest. */
export async function checkStored(run: Run, storage: Storage, manifest: Manifest): Promise<void> {
  const pass = new Pass(run);
  try {
    for await (const _chunk of lent(stored(pass, run, storage, manifest, 'verify')));
  } finally {
    await pass.end();
  }
}

/**
 * The dump. Ends well only when stored and plain bytes are those of the manifest; stored bytes behind the end of the format are read too,
 * so that their digest is whole.
 */
export async function* plain(
  run: Run,
  storage: Storage,
  manifest: Manifest,
  identities: readonly string[],
): AsyncGenerator<Buffer, void, void> {
  const { id, plainSize: size, plainSha256: sha256, recipients } = manifest;
  const pass = new Pass(run);
  try {
    const meter = pass.thread.measure();
    const sealed = stored(pass, run, storage, manifest, 'read');
    const opened = identities.length === 0 ? sealed : decrypt(lent(sealed), identities, recipients);
    // Node's gunzip goes on reading a chunk when it asks for the next.
    const packed = manifest.compression === 'zstd' ? lent(opened) : opened;
    yield* lent(meter.pass(decompress(packed, manifest.compression, size)));
    await compare(meter, 'plain', id, { size, sha256 });
  } finally {
    await pass.end();
  }
}

/** More than the end of any dump takes. */
const tailBytes = 65_536;

/** The stream, the end of its last chunk given only when the stream has ended well. Keeps nothing of a chunk once the next is asked for. */
export async function* lastHeldBack(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let held: Buffer | undefined;
  for await (const chunk of source) {
    if (held !== undefined) yield held;
    const tail = Math.max(0, chunk.length - tailBytes);
    held = Buffer.from(chunk.subarray(tail));
    if (tail > 0) yield chunk.subarray(0, tail);
  }
  if (held !== undefined) yield held;
}
