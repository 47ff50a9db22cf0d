// Downloads one official release file and checks its SHA-256 before anything may run it.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from '../command.ts';
import type { Release } from './programs.ts';

/** A machine without the network should not wait longer than this before it builds instead. */
const CONNECT_MS = 3000;
/** A download may take long, but not while nothing arrives. */
const STALL_MS = 30_000;

const answers = new Map<string, Promise<boolean>>();

/** True when a TCP connection to the host of `url` opens; asked once a process for each host. */
function reachable(url: URL): Promise<boolean> {
  const known = answers.get(url.host);
  if (known !== undefined) return known;
  const port = Number(url.port) || (url.protocol === 'http:' ? 80 : 443);
  const answer = new Promise<boolean>((resolve) => {
    const socket = net.connect({ host: url.hostname, port });
    const end = (is: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(is);
    };
    const timer = setTimeout(() => end(false), CONNECT_MS);
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
  answers.set(url.host, answer);
  return answer;
}

export async function downloadProgram(release: Release, target: string): Promise<void> {
  const url = new URL(release.url);
  if (!(await reachable(url))) throw new Error(`${url.host} does not answer within ${CONNECT_MS / 1000} s`);
  const directory = await mkdtemp(`${target}.d`);
  try {
    const file = path.join(directory, path.basename(url.pathname));
    const expected = checksumFor(await text(release.checksumUrl), path.basename(file));
    const actual = await save(release.url, file);
    if (actual !== expected) throw new Error(`${release.url}: SHA-256 is ${actual}, published is ${expected}`);
    if (release.member !== undefined) await run(['tar', '-xzf', file, '-C', directory, release.member]);
    await rename(release.member === undefined ? file : path.join(directory, release.member), target);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Reads both forms in use: the bare digest, and lines of digest and file name. */
export function checksumFor(published: string, file: string): string {
  const lines = published.trim().split('\n');
  for (const line of lines) {
    const [digest = '', name] = line.trim().split(/\s+\*?/);
    if (/^[0-9a-f]{64}$/.test(digest) && (name === file || (name === undefined && lines.length === 1))) return digest;
  }
  throw new Error(`read checksum of "${file}": the published list has no such file`);
}

async function open(url: string, signal: AbortSignal): Promise<Response> {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`download "${url}": HTTP ${response.status}`);
  return response;
}

async function text(url: string): Promise<string> {
  return (await open(url, AbortSignal.timeout(STALL_MS))).text();
}

/** Saves the body as `file` and resolves to its SHA-256. */
async function save(url: string, file: string): Promise<string> {
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(new Error(`download "${url}": nothing for ${STALL_MS} ms`)), STALL_MS);
  try {
    const { body } = await open(url, stall.signal);
    if (body === null) throw new Error(`download "${url}": empty answer`);
    const digest = createHash('sha256');
    const watched = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        timer.refresh();
        digest.update(chunk);
        done(null, chunk);
      },
    });
    await pipeline(Readable.fromWeb(body), watched, createWriteStream(file), { signal: stall.signal });
    return digest.digest('hex');
  } finally {
    clearTimeout(timer);
  }
}
