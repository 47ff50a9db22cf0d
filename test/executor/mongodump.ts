// Stand-ins for mongodump, mongorestore and mongosh, which are not to be had where these tests run: they take the words and files that the
// real ones take, note them, and play back an archive or an answer.
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface StandIns {
  /** What mongodump writes. */
  archive: Buffer;
  /** What mongosh prints, by the name of the script that it runs; absent: the image has no mongosh. */
  answers?: Record<string, string>;
  /** Shell that mongodump runs instead; "$ARCHIVE" is the file. */
  dump?: string;
}

/** Puts them into the folder; beside them `words` holds every program's words and `login` the text of mongodump's configuration. */
export async function standIns(folder: string, { archive, answers, dump = 'cat "$ARCHIVE"' }: StandIns): Promise<void> {
  await writeFile(join(folder, 'archive'), archive);
  for (const [name, text] of Object.entries(answers ?? {})) await writeFile(join(folder, `${name}.answer`), text);
  const note = `HERE=${folder} ARCHIVE=${folder}/archive\nprintf '%s\\n' "$0" "$@" >> "$HERE/words"\n`;
  const login =
    'for word in "$@"; do case $word in --config=*) cat "${word#--config=}" > "$HERE/login" ;; esac; done\n';
  const version = '[ "$1" = --version ] && { echo "mongodump version: 100.9.4"; exit 0; }\n';
  const programs = {
    mongodump: `${note}${version}${login}${dump}`,
    mongorestore: `${note}${login}archive=-\nfor word in "$@"; do case $word in --archive=*) archive=\${word#--archive=} ;; esac; done\ncat "$archive" > "$HERE/restored"`,
    ...(answers === undefined
      ? {}
      : {
          mongosh: `${note}for word in "$@"; do :; done\ncase "$*" in *--eval*) cat "$HERE/count.answer" ;; *) cat "$HERE/$(basename "$word").answer" ;; esac`,
        }),
  };
  for (const [name, text] of Object.entries(programs)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, name), 0o755);
  }
}
