// Watches a raft snapshot of OpenBao pass and knows whether it is whole: a tar archive packed by gzip, with the state and, behind it, the
// SHA-256 sums of what came before, which are checked while the bytes pass. SHA256SUMS.sealed only the server can read.
// The format: github.com/hashicorp/raft-snapshot (archive.go), which OpenBao writes and reads.
import { createHash, type Hash } from 'node:crypto';
import { createGunzip } from 'node:zlib';
import type { EndMarker } from './engine.ts';

const block = 512;
/** Members that are read and not only summed: lines of sums, records of a pax header. A few hundred bytes are usual. */
const readLimit = 65_536;
const summed = ['meta.json', 'state.bin'];
const members = [...summed, 'SHA256SUMS', 'SHA256SUMS.sealed'];

interface Member {
  name: string;
  /** Bytes of content that are to come. */
  left: number;
  padding: number;
  hash: Hash;
  /** The content, where it is read. */
  content: Buffer[] | undefined;
}

const refuse = (detail: string): never => {
  throw new Error(`read the snapshot: ${detail}`);
};

/** A number of a header: octal digits, or, where these are too few, bytes after a set bit. */
function number(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) !== 0) return Number(BigInt(`0x${field.subarray(1).toString('hex')}`));
  const text = field.toString('latin1').replace(/[\0 ]+$/, '');
  if (!/^[0-7]+$/.test(text)) refuse(`a header of its archive has ${JSON.stringify(text)} as a size`);
  return Number.parseInt(text, 8);
}

function checkHeader(header: Buffer): void {
  const stored = number(header.subarray(148, 156));
  let sum = 0;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 32 : byte;
  if (sum !== stored) refuse('a header of its archive does not fit its own sum');
}

/** The archive, apart from its packing. */
class Archive {
  #header = Buffer.alloc(0);
  #member: Member | undefined;
  #nextSize: number | undefined;
  #zeros = 0;
  readonly #sums = new Map<string, string>();
  #listed: string | undefined;
  readonly #seen: string[] = [];

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length)
      at += this.#member === undefined ? this.#readHeader(chunk, at) : this.#readContent(this.#member, chunk, at);
  }

  #readHeader(chunk: Buffer, at: number): number {
    const part = chunk.subarray(at, at + block - this.#header.length);
    this.#header = Buffer.concat([this.#header, part]);
    if (this.#header.length === block) {
      this.#open(this.#header);
      this.#header = Buffer.alloc(0);
    }
    return part.length;
  }

  #open(header: Buffer): void {
    if (header.every((byte) => byte === 0)) {
      this.#zeros += 1;
      return;
    }
    if (this.#zeros > 0) refuse('its archive goes on after its end');
    checkHeader(header);
    const kind = String.fromCharCode(header[156] ?? 0);
    const name = header.subarray(0, 100).toString('latin1').replace(/\0.*$/s, '');
    const size = this.#nextSize ?? number(header.subarray(124, 136));
    this.#nextSize = undefined;
    const isRecord = kind === 'x';
    if (!isRecord && kind !== '0' && kind !== '\0')
      refuse(`its archive holds something of kind ${JSON.stringify(kind)}`);
    if (!isRecord && name !== members[this.#seen.length])
      refuse(
        `its archive holds ${JSON.stringify(name)} where ${members[this.#seen.length] ?? 'nothing more'} is expected`,
      );
    const isRead = isRecord || name === 'SHA256SUMS';
    if (isRead && size > readLimit) refuse(`${name} has ${size} bytes, more than ${readLimit}`);
    this.#member = {
      name: isRecord ? '' : name,
      left: size,
      padding: (block - (size % block)) % block,
      hash: createHash('sha256'),
      content: isRead ? [] : undefined,
    };
    if (size === 0) this.#close(this.#member);
  }

  #readContent(member: Member, chunk: Buffer, at: number): number {
    if (member.left > 0) {
      const part = chunk.subarray(at, at + member.left);
      member.left -= part.length;
      member.hash.update(part);
      member.content?.push(Buffer.from(part));
      if (member.left === 0 && member.padding === 0) this.#close(member);
      return part.length;
    }
    const passed = Math.min(member.padding, chunk.length - at);
    member.padding -= passed;
    if (member.padding === 0) this.#close(member);
    return passed;
  }

  #close(member: Member): void {
    this.#member = undefined;
    const text = member.content === undefined ? '' : Buffer.concat(member.content).toString('latin1');
    if (member.name === '') {
      const size = /^\d+ size=(\d+)$/m.exec(text)?.[1];
      if (size !== undefined) this.#nextSize = Number(size);
      return;
    }
    this.#seen.push(member.name);
    this.#sums.set(member.name, member.hash.digest('hex'));
    if (member.name === 'SHA256SUMS') this.#listed = text;
  }

  end(): void {
    if (this.#member !== undefined || this.#header.length > 0 || this.#zeros < 2)
      refuse('its archive ends before its end');
    const missing = members.find((name) => !this.#seen.includes(name));
    if (missing !== undefined) refuse(`its archive has no ${missing}`);
    const lines = (this.#listed ?? '').split('\n').filter((line) => line !== '');
    const listed = new Map(lines.map((line): [string, string] => [line.slice(66), line.slice(0, 64)]));
    for (const name of summed)
      if (listed.get(name) !== this.#sums.get(name)) refuse(`${name} does not have the sum that SHA256SUMS gives`);
  }
}

/** Watches one snapshot pass. Its errors say where it is not whole. */
export function openbaoSnapshot(): EndMarker {
  const archive = new Archive();
  const gunzip = createGunzip();
  let length = 0;
  let failure: Error | undefined;
  let wake = (): void => {};
  const fail = (error: unknown): void => {
    failure ??=
      error instanceof Error && error.message.startsWith('read the snapshot')
        ? error
        : new Error('read the snapshot: it is not whole as gzip');
    wake();
  };
  gunzip.on('data', (bytes: Buffer) => {
    try {
      if (failure === undefined) archive.push(bytes);
    } catch (error) {
      fail(error);
    }
  });
  gunzip.on('error', fail);
  const check = (): void => {
    if (failure !== undefined) throw failure;
  };

  return {
    async push(chunk) {
      check();
      length += chunk.length;
      await new Promise<void>((done) => {
        wake = done;
        // A stream that has failed calls back nobody: fail does.
        gunzip.write(chunk, () => done());
      });
      check();
    },
    async end() {
      check();
      await new Promise<void>((done) => {
        wake = done;
        gunzip.on('end', done);
        gunzip.end();
      });
      check();
      if (gunzip.bytesWritten !== length) refuse('bytes follow its end');
      archive.end();
    },
  };
}
