// Dump tools that go wrong in a chosen way: a folder with a pg_dump of its own, to be put before the real one.
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @param folder where the folder of tools is made
 * @param bin of the real tools
 * @param body POSIX shell; "$REAL" is the real pg_dump
 */
export function brokenDump(folder: string, bin: string, body: string): Promise<string> {
  return toolNamed('pg_dump', folder, [
    `REAL=${join(bin, 'pg_dump')}`,
    '[ "$1" = --version ] && exec "$REAL" --version',
    body,
  ]);
}

/** A pg_restore of its own; the dump comes on its standard input. */
export function brokenRestore(folder: string, body: string): Promise<string> {
  return toolNamed('pg_restore', folder, [body]);
}

async function toolNamed(name: string, folder: string, lines: string[]): Promise<string> {
  await mkdir(folder, { recursive: true });
  const tools = await mkdtemp(join(folder, 'tools-'));
  await writeFile(join(tools, name), `${['#!/bin/sh', ...lines].join('\n')}\n`);
  await chmod(join(tools, name), 0o755);
  return tools;
}

/**
 * Shell: the real dump, held after its first MiBs until the file `go` appears; `half` appears when it is held. Its exit code is kept.
 * @param atHalf shell that runs while the dump is held; the real dump is process $pid
 */
export function heldDump(folder: string, mebibytes: number, atHalf: string): string {
  return `
mkfifo ${folder}/gate
"$REAL" "$@" > ${folder}/gate &
pid=$!
exec 3< ${folder}/gate
dd bs=65536 count=${mebibytes * 16} iflag=fullblock <&3 2> /dev/null
: > ${folder}/half
${atHalf}
while [ ! -e ${folder}/go ]; do sleep 0.1; done
cat <&3
wait $pid
exit $?
`;
}
