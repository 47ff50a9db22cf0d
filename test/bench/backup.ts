// `npm run bench -- backup`: the executor beside the pipeline that a person would write, from the same server to the same store, in turns.
import { spawn } from 'node:child_process';
import { build } from '../../build.ts';
import type { S3Task } from '../../crds/rules/contract.ts';
import { Pod, taskFor } from '../executor/pod.ts';
import { type Stage, startStage } from './dump-stage.ts';
import type { BenchOptions } from './main.ts';
import { type Row, row } from './report.ts';
import { type Usage, watchUsage } from './usage.ts';

/** The source is the same on both sides: its use is not counted. */
const source = ['pg_dump', 'psql', 'sh', 'unshare'];

interface Measured extends Usage {
  seconds: number;
}

async function timed(pids: () => number[], work: () => Promise<void>): Promise<Measured> {
  const started = performance.now();
  const working = work();
  const usage = watchUsage(pids(), source);
  await working;
  const seconds = (performance.now() - started) / 1000;
  return { seconds, ...(await usage.stop()) };
}

function shell(stage: Stage, script: string): Promise<Measured> {
  const child = spawn('bash', ['-c', `set -eo pipefail; ${script}`], {
    env: stage.env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = new Promise<void>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => (code === 0 ? done() : fail(new Error(`${script}: ended with ${code}`))));
  });
  return timed(
    () => [child.pid ?? 0],
    () => ended,
  );
}

export function storeOf({ s3 }: Stage): S3Task {
  const secret = { name: 's3', accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'token' };
  const { region, endpoint } = s3;
  return { kind: 's3', bucket: 'backups', region, endpoint, forcePathStyle: true, secret };
}

/** From the start of the pod's two containers to their end; the init container, which the pipeline has no like of, is not in it. */
async function ourBackup(
  stage: Stage,
  program: string,
  expectedBytes: number,
): Promise<Measured & { stored: number; plain: number }> {
  const task = taskFor(
    storeOf(stage),
    { ...stage.postgres, database: 'orders' },
    {
      recipients: [stage.recipient],
      retention: { keepLast: 1, maxDeletesPerRun: 10 },
      time: new Date(Math.floor(Date.now() / 1000) * 1000).toISOString(),
    },
  );
  const keys = { id: stage.s3.accessKeyId, key: stage.s3.secretAccessKey };
  const pod = await Pod.create(task, keys, `job-${Date.now()}`);
  try {
    const prepare = pod.prepare({}, program);
    if ((await prepare.ended) !== 0) throw new Error(`prepare failed: ${prepare.output()}`);
    const pids: number[] = [];
    let plain = 0;
    let stored = 0;
    const measured = await timed(
      () => pids,
      async () => {
        const executor = pod.backup({ DBBACKUP_LAST_SIZE: String(expectedBytes) }, program);
        pids.push(executor.child.pid ?? 0);
        const dump = await pod.dump(stage.postgres);
        await Promise.all([executor.ended, dump.ended]);
        const { result, output } = await pod.conclude(executor);
        if (result?.run.outcome !== 'Succeeded') throw new Error(`the backup failed: ${output}`);
        [plain, stored] = [result.run.size, result.run.storedSize];
      },
    );
    return { ...measured, plain, stored };
  } finally {
    await pod.remove();
  }
}

const side = (runs: readonly Measured[], value: (run: Measured) => number) => ({
  values: runs.map(value),
  memoryMiB: Math.max(...runs.map(({ memoryMiB }) => memoryMiB)),
});

export async function backup({ runs, mebibytes, log }: BenchOptions): Promise<Row[]> {
  const stage = await startStage(mebibytes, log);
  try {
    await build({ outdir: stage.folder, log });
    const program = `${stage.folder}/executor.mjs`;
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
