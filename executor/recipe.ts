// How a snapshot is restored with stock tools alone, as the manifest tells it: shell lines to be run where the snapshot's file is.
import type { DatabaseTask } from '../crds/rules/engines/engine.ts';
import { engines } from '../crds/rules/engines/table.ts';
import type { Manifest } from '../crds/rules/manifest.ts';
import { dataSuffix } from '../crds/rules/names.ts';

export type Facts = Pick<Manifest, 'id' | 'engine' | 'compression' | 'encryption' | 'storedSha256'> & {
  database: DatabaseTask;
};

/** A step a file: `sh` has no pipefail, so a pipe would hide a step that failed. */
export function recipe({ id, engine, database, compression, encryption, storedSha256 }: Facts): string[] {
  const byHand = engines[engine].byHand(database);
  const tools = [
    'sha256sum',
    ...(encryption === 'age' ? ['age'] : []),
    ...(compression === 'none' ? [] : [compression]),
    ...byHand.tools,
  ];
  const lines = [
    `# needs ${tools.join(', ')}; download the snapshot into this folder first`,
    'set -eu',
    ...byHand.checks,
    `file=${id}${dataSuffix}`,
    `echo "${storedSha256}  $file" | sha256sum -c -`,
  ];
  if (encryption === 'age')
    lines.push(
      `age -d -i "\${AGE_IDENTITY_FILE:?set AGE_IDENTITY_FILE to the file of an age identity}" -o ${id}.packed "$file"`,
      `file=${id}.packed`,
    );
  if (compression === 'zstd') lines.push(`zstd -d -q -f -o ${id}.dump "$file"`, `file=${id}.dump`);
  if (compression === 'gzip') lines.push(`gzip -d -c < "$file" > ${id}.dump`, `file=${id}.dump`);
  return [...lines, 'dump=$file', byHand.command];
}
