// `npm run bench -- restore`: the executor and the restore container beside the mirror of the backup's pipeline, from the same object into
// an empty database of the same server, in turns.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from '../../build.ts';
import { prepareRestore, restoreLatest, startPrepared, withIdentity } from '../executor/restore-pod.ts';
import { run } from '../rig/command.ts';
import { ourBackup } from './backup.ts';
import { podOf, type Stage, startStage } from './dump-stage.ts';
import type { BenchOptions } from './main.ts';
import { type Measured, shell, side, timed } from './measured.ts';
import { type Row, row } from './report.ts';

const target = 'restored';

async function emptyTarget({ postgres, env }: Stage): Promise<void> {
  for (const verb of ['drop database if exists', 'create database'])
    await run([join(postgres.bin, 'psql'), '-Xq', '-d', 'postgres', '-c', `${verb} ${target}`], { env });
}

/** From the start of the pod's two containers to their end, as of a backup. */
async function ourRestore(stage: Stage, program: string, verifyFirst: boolean): Promise<Measured> {
  await emptyTarget(stage);
  const pod = await podOf(stage, target);
  try {
    const identity = await readFile(stage.identityFile, 'utf8');
    const order = await withIdentity(pod, { ...restoreLatest, verifyFirst }, identity);
    await prepareRestore(pod, program);
    const pids: number[] = [];
    return await timed(
      () => pids,
      async () => {
        const { executor, done } = await startPrepared(pod, stage.postgres, order, program);
        pids.push(executor.child.pid ?? 0);
        const { report, output } = await done;
        if (report?.run.outcome !== 'Succeeded') throw new Error(`the restore failed: ${output}`);
      },
    );
  } finally {
    await pod.remove();
  }
}

export async function restore({ runs, mebibytes, log }: BenchOptions): Promise<Row[]> {
  const stage = await startStage(mebibytes, log);
  try {
    const dist = join(stage.folder, 'dist');
    await build({ outdir: dist, log });
    const program = join(dist, 'executor.mjs');
    const { plain, key } = await ourBackup(stage, program, 0);
    const fetched = `rclone cat store:backups/${key} | age -d -i ${stage.identityFile} | zstd -d -q`;
    const pipeline = `${fetched} | pg_restore --exit-on-error --single-transaction -d ${target}`;
    const [ours, verified, theirs]: [Measured[], Measured[], Measured[]] = [[], [], []];
    for (let turn = 0; turn < runs; turn++) {
      await emptyTarget(stage);
      theirs.push(await shell(stage, pipeline));
      ours.push(await ourRestore(stage, program, false));
      verified.push(await ourRestore(stage, program, true));
      const shown = [ours, verified, theirs].map((all) => `${all.at(-1)?.seconds.toFixed(1)} s`);
      log(`run ${turn + 1}: ours ${shown[0]}, verified first ${shown[1]}, pipeline ${shown[2]}`);
    }
    const rate = ({ seconds }: Measured) => plain / 2 ** 20 / seconds;
    const effort = ({ cpuSeconds }: Measured) => cpuSeconds / (plain / 2 ** 30);
    return [
      row('restore against rclone | age | zstd | pg_restore', 'MiB/s', 'more', side(ours, rate), side(theirs, rate)),
      row('the same, all bytes verified before the first', 'MiB/s', 'more', side(verified, rate), side(theirs, rate)),
      row('processor time, the restore tool left out', 's/GiB', 'less', side(ours, effort), side(theirs, effort)),
    ];
  } finally {
    await stage.stop();
  }
}
