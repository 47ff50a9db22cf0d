// `npm run bench -- backup`: the executor beside the pipeline that a person would write, from the same server to the same store, in turns.
import { join } from 'node:path';
import { build } from '../../build.ts';
import { podOf, type Stage, startStage } from './dump-stage.ts';
import type { BenchOptions } from './main.ts';
import { type Measured, shell, side, timed } from './measured.ts';
import { type Row, row } from './report.ts';

/** From the start of the pod's two containers to their end; the init container, which the pipeline has no like of, is not in it. */
export async function ourBackup(
  stage: Stage,
  program: string,
  expectedBytes: number,
): Promise<Measured & { stored: number; plain: number; key: string }> {
  const pod = await podOf(stage, 'orders');
  try {
    const prepare = pod.prepare({}, program);
    if ((await prepare.ended) !== 0) throw new Error(`prepare failed: ${prepare.output()}`);
    const pids: number[] = [];
    let plain = 0;
    let stored = 0;
    let key = '';
    const measured = await timed(
      () => pids,
      async () => {
        const executor = pod.backup({ DBBACKUP_LAST_SIZE: String(expectedBytes) }, program);
        pids.push(executor.child.pid ?? 0);
        const dump = await pod.dump(stage.postgres);
        await Promise.all([executor.ended, dump.ended]);
        const { result, output } = await pod.conclude(executor);
        if (result?.run.outcome !== 'Succeeded') throw new Error(`the backup failed: ${output}`);
        ({ size: plain, storedSize: stored, key } = result.run);
      },
    );
    return { ...measured, plain, stored, key };
  } finally {
    await pod.remove();
  }
}

export async function backup({ runs, mebibytes, log }: BenchOptions): Promise<Row[]> {
  const stage = await startStage(mebibytes, log);
  try {
    const dist = join(stage.folder, 'dist');
    await build({ outdir: dist, log });
    const program = join(dist, 'executor.mjs');
    const pipeline = `pg_dump -Fc -Z0 | zstd -3 -T2 -q | age -r ${stage.recipient} | rclone rcat store:backups/peer/dump`;
    const [ours, theirs, alone]: [Measured[], Measured[], Measured[]] = [[], [], []];
    let [plain, stored] = [0, 0];
    for (let turn = 0; turn < runs; turn++) {
      theirs.push(await shell(stage, pipeline));
      const own = await ourBackup(stage, program, stored);
      [plain, stored] = [own.plain, own.stored];
      ours.push(own);
      alone.push(await shell(stage, 'pg_dump -Fc -Z0 > /dev/null'));
      const shown = [own, theirs.at(-1), alone.at(-1)].map((one) => `${one?.seconds.toFixed(1)} s`);
      log(`run ${turn + 1}: ours ${shown[0]}, pipeline ${shown[1]}, pg_dump alone ${shown[2]}`);
    }
    log(
      `the dump has ${(plain / 2 ** 20).toFixed(0)} MiB and is stored in ${(stored / 2 ** 20).toFixed(0)} MiB, ${(plain / stored).toFixed(2)}:1`,
    );
    const rate = ({ seconds }: Measured) => plain / 2 ** 20 / seconds;
    const effort = ({ cpuSeconds }: Measured) => cpuSeconds / (plain / 2 ** 30);
    return [
      row('backup against pg_dump | zstd | age | rclone', 'MiB/s', 'more', side(ours, rate), side(theirs, rate)),
      row('processor time, the dump tool left out', 's/GiB', 'less', side(ours, effort), side(theirs, effort)),
    ];
  } finally {
    await stage.stop();
  }
}
