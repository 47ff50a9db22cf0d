// `npm run demo`: from nothing to a restored database. A committed manifest is admitted, run at its window, stored, listed, located and
// restored with stock tools, and every table is compared with its source.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backup } from '../../controller/objects.ts';
import { type Cluster, startCluster } from '../rig/cluster/cluster.ts';
import { buildImages } from '../rig/images/images.ts';
import { differences, fingerprintSql } from '../stage/fingerprint.ts';
import { type Kubectl, kubectlOf } from '../stage/kubectl.ts';
import { database } from '../stage/manifests.ts';
import { deployOperator } from '../stage/operator.ts';
import { restoreVariables } from '../stage/restore.ts';
import { seed } from '../stage/seed.ts';
import { createTeam, type Team } from '../stage/team.ts';
import { waitFor } from '../wait.ts';
import { goodManifest, type OverlayOptions, writeOverlay, wrongManifest } from './overlay.ts';
import { clock, command, heading, say } from './screen.ts';
import { prepareTools, type Tools } from './tools.ts';

const namespace = 'shop';
const keep = process.argv.includes('--keep');
const unknown = process.argv.slice(2).filter((word) => word !== '--keep');
const log = (line: string): void => say(line);

/** Runs a command line as printed; gives output and exit code. Standard error is shown as it comes. */
function shell(line: string, env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  command(line);
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', line], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
      });
    child.on('error', reject);
    child.on('close', (code) => {
      say(output);
      resolve({ code: code ?? 1, output });
    });
  });
}

async function mustRun(line: string, env: NodeJS.ProcessEnv): Promise<string> {
  const { code, output } = await shell(line, env);
  if (code !== 0) throw new Error(`"${line}" ended with exit code ${code}`);
  return output;
}

async function showRefusal(options: OverlayOptions, env: NodeJS.ProcessEnv): Promise<void> {
  heading('A wrong manifest never lands: five mistakes, refused with field and fix');
  const folder = await writeOverlay(options, 'wrong', wrongManifest(options));
  const { code, output } = await shell(`kubectl apply --server-side -k ${folder}`, env);
  if (code === 0 || !output.includes('spec.schedule'))
    throw new Error('the wrong manifest was not refused as it should be');
}

async function showBackup(kubectl: Kubectl, options: OverlayOptions, env: NodeJS.ProcessEnv): Promise<Backup> {
  heading('The right one: a backup every minute, encrypted, the newest three kept');
  const folder = await writeOverlay(options, 'orders', goodManifest(options));
  say(goodManifest(options));
  await mustRun(`kubectl apply --server-side -k ${folder}`, env);
  heading('Waiting for the window');
  let phase = '';
  const backup = await waitFor(
    'the first backup ends',
    async () => {
      const object = await kubectl.json<Backup>(['-n', namespace, 'get', 'databasebackup', 'orders']);
      const { status } = object;
      const now = `${status?.phase ?? 'waiting'}, next window ${status?.nextScheduledBackup ?? 'not known yet'}`;
      if (now !== phase) say(`[${clock()}] ${now}`);
      phase = now;
      return status?.run?.outcome === undefined ? undefined : object;
    },
    { seconds: 300, everyMilliseconds: 500 },
  );
  if (backup.status?.run?.outcome !== 'Succeeded')
    throw new Error(`the backup failed: ${backup.status?.failureReason}: ${backup.status?.failureMessage}`);
  return backup;
}

async function showRestore(team: Team, tools: Tools, env: NodeJS.ProcessEnv): Promise<void> {
  const copy = 'orders_restored';
  heading(`The printed commands, run by sh with stock tools into the empty database ${copy}`);
  await team.inDatabase(['createdb', '-U', database.user, copy]);
  const restore = {
    ...env,
    ...restoreVariables(team, copy, tools.identity),
  };
  say(
    `with PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE=${copy}, the store's AWS_ variables and AGE_IDENTITY_FILE set`,
  );
  await mustRun(`kubectl dbbackup -n ${namespace} restore-locate orders -o shell | sh`, restore);
  heading('Every table, sequence, constraint and large object compared with the source');
  const [source, restored] = [await team.sql(fingerprintSql), await team.sql(fingerprintSql, copy)];
  say(restored);
  const found = differences(source, restored);
  if (found.length > 0) throw new Error(`the restored database differs:\n${found.join('\n')}`);
}

async function demo(folder: string, started: (cluster: Cluster) => void): Promise<string> {
  heading('A real Kubernetes cluster');
  const cluster = await startCluster({ name: 'demo', node: true, log });
  started(cluster);
  say(`${cluster.provider} cluster "${cluster.name}" is up`);
  heading('Images of dbbackup, and of the servers that stand in for yours');
  const images = await buildImages(cluster.provider === 'built' ? { engine: 'buildah' } : {}, log);
  for (const image of Object.values(images)) {
    await cluster.loadImage(image.archive);
    say(`loaded ${image.name}`);
  }
  const tools = await prepareTools(folder, log);
  const env = { ...process.env, PATH: tools.path, KUBECONFIG: cluster.kubeconfig, NO_COLOR: '1' };
  const kubectl = await kubectlOf(cluster.kubeconfig, log);
  heading('The operator');
  command('kubectl apply --server-side -k kustomize/overlays/dev');
  await deployOperator(kubectl);
  await mustRun('kubectl -n dbbackup-system get pods', env);
  heading('A team: a PostgreSQL server with data, and an S3 store');
  const team = await createTeam(kubectl, namespace, images);
  try {
    await seed(team, { pgbenchScale: 10 });
    say(await team.sql("select 'database of ' || pg_size_pretty(pg_database_size(current_database()))"));
    const options = { folder, namespace, image: images.postgres.name, recipient: tools.recipient };
    await showRefusal(options, env);
    await showBackup(kubectl, options, env);
    heading('What can be restored, and how');
    await mustRun(`kubectl dbbackup -n ${namespace} describe orders`, env);
    await mustRun(`kubectl dbbackup -n ${namespace} list-snapshots orders`, env);
    await mustRun(`kubectl dbbackup -n ${namespace} restore-locate orders`, env);
    await showRestore(team, tools, env);
  } finally {
    await team.close();
  }
  return cluster.kubeconfig;
}

async function main(): Promise<number> {
  if (unknown.length > 0) {
    console.error(`unknown argument "${unknown[0]}": npm run demo [-- --keep]`);
    return 2;
  }
  const folder = await mkdtemp(join(tmpdir(), 'dbbackup-demo-'));
  let cluster: Cluster | undefined;
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ended ??= (async () => {
      await rm(folder, { recursive: true, force: true });
      if (cluster === undefined || keep) return;
      console.log(`\n[${clock()}] removing the cluster (npm run demo -- --keep keeps it)`);
      await cluster.stop();
    })();
    return ended;
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => void end().then(() => process.exit(130)));
  let failure: unknown;
  let kubeconfig = '';
  try {
    kubeconfig = await demo(folder, (started) => {
      cluster = started;
    });
  } catch (error) {
    failure = error;
  }
  await end();
  if (failure !== undefined) {
    console.error(`\n[${clock()}] DEMO FAILED: ${failure instanceof Error ? failure.message : String(failure)}`);
    return 1;
  }
  if (keep) {
    console.log(
      `\nThe cluster goes on. Look around with:\n  export KUBECONFIG=${kubeconfig}\n  kubectl -n ${namespace} get databasebackups\nRemove it with:\n  npm run rig -- down --name demo`,
    );
  } else
    console.log(
      '\nGo on: npm run demo -- --keep leaves the cluster for you to play with; README.md shows the smallest manifest.',
    );
  console.log(
    `\n[${clock()}] DEMO PASSED: a committed manifest became a snapshot, and the snapshot a database equal to its source.`,
  );
  return 0;
}

process.exitCode = await main();
