// An image whose pg_dump lies, for the tests of dumps that lie. The name of the database says how; everything around it is real.
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildArchive, findEngine } from '../rig/images/engine.ts';
import { addShell } from '../rig/images/rootfs.ts';
import { database } from '../stage/manifests.ts';
import type { Team } from '../stage/team.ts';
import { log, type World } from './world.ts';

export const faultyImage = 'dbbackup.test/faulty:1';

const psql =
  '#!/bin/sh\ncase "$*" in *version_num*) echo 150000 ;; *server_version*) echo 15.0 ;; *system_identifier*) echo 1/1 ;; esac\n';
const pgDump = `#!/bin/sh
if [ "$1" = --version ]; then echo 'pg_dump (PostgreSQL) 15.0'; exit 0; fi
case $PGDATABASE in
  empty) exit 0 ;;
  half) base64 -d /half.base64; exit 0 ;;
  *) sleep 3600 ;;
esac
`;

/** Builds it around the first half of a real archive of the team's database and loads it into the cluster. */
export async function loadFaultyImage({ cluster }: World, team: Team): Promise<void> {
  const archive = await team.inDatabase([
    'sh',
    '-c',
    `pg_dump -Fc -Z0 -U ${database.user} -d ${database.name} -s | base64 -w0`,
  ]);
  const half = Buffer.from(archive, 'base64');
  const engine = cluster.provider === 'built' ? 'buildah' : await findEngine();
  const context = await mkdtemp(join(tmpdir(), 'dbbackup-faulty-'));
  try {
    const root = join(context, 'rootfs');
    const bin = join(root, 'usr/bin');
    await mkdir(bin, { recursive: true });
    await addShell(root, log);
    const links = `RUN ["/bin/busybox", "--install", "-s", "/bin"]\n`;
    await writeFile(join(context, 'Containerfile'), `FROM scratch\nCOPY rootfs/ /\n${links}ENV PATH=/usr/bin:/bin\n`);
    for (const [name, text] of [
      ['psql', psql],
      ['pg_dump', pgDump],
    ] as const) {
      await writeFile(join(bin, name), text);
      await chmod(join(bin, name), 0o755);
    }
    await writeFile(join(root, 'half.base64'), half.subarray(0, Math.floor(half.length / 2)).toString('base64'));
    const file = join(context, 'faulty.tar');
    await buildArchive(engine, faultyImage, context, file, log);
    await cluster.loadImage(file);
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}
