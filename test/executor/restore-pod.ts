// A restore's pod outside a cluster, see pod.ts: the executor that feeds, and the restore script with the real tools, each a process.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { paths, type Task } from '../../crds/rules/contract.ts';
import {
  decodeReport,
  encodeOrder,
  type Order,
  type Report,
  type RestoreOrder,
} from '../../crds/rules/contract-commands.ts';
import type { Container, Database, Pod } from './pod.ts';
import type { Place } from './world.ts';

export const restoreLatest: RestoreOrder = {
  command: 'restore',
  choice: { latest: true },
  verifyFirst: true,
  ifNotEmpty: 'Skip',
  ifNoSnapshot: 'Fail',
};

export interface Done {
  code: number;
  report: Report | undefined;
  output: string;
}

/** An order with the key of an identity's Secret, which is put where the executor looks for it. */
export async function withIdentity<O extends Order>(pod: Pod, order: O, identity: string): Promise<O> {
  await writeFile(join(pod.path(paths.identity), 'key.txt'), identity);
  return { ...order, identity: { secret: 'age-identity', key: 'key.txt' } };
}

/** As the kubelet hands it on. */
export function orderVariable(order: Order): NodeJS.ProcessEnv {
  const { name, value = '' } = encodeOrder(order);
  return { [name]: value.replaceAll('$$', '$') };
}

async function conclude(pod: Pod, decisive: Container): Promise<Done> {
  const { code, output } = await pod.conclude(decisive);
  return { code, output, report: decodeReport(output.slice(output.lastIndexOf('\n{"outcome"') + 1)) };
}

/** One of the commands that have no container beside them. */
export async function perform(pod: Pod, order: Order): Promise<Done> {
  return conclude(pod, pod.executor(order.command, orderVariable(order)));
}

export interface Restoring {
  pod: Pod;
  restore: Container;
  executor: Container;
  done: Promise<Done>;
}

export interface Login extends Pick<Database, 'user' | 'password' | 'bin'> {
  /** Arguments of the restore tool. */
  args?: string[];
  tools?: string;
}

/** @param main the executor as it was built, in place of its source */
export async function prepareRestore(pod: Pod, main?: string): Promise<void> {
  const prepare = pod.executor('prepare-restore', {}, main);
  if ((await prepare.ended) !== 0) throw new Error(`prepare-restore failed: ${prepare.output()}`);
}

/** Starts both containers of a restore into a database. Prepare has to have gone well. */
export async function startPrepared(pod: Pod, login: Login, order: RestoreOrder, main?: string): Promise<Restoring> {
  const restore = await pod.restore(login, login.args, login.tools);
  const executor = pod.executor('restore', orderVariable(order), main);
  const done = (async () => {
    await Promise.all([restore.ended, executor.ended]);
    return conclude(pod, executor);
  })();
  return { pod, restore, executor, done };
}

export async function startRestore(pod: Pod, login: Login, order: RestoreOrder): Promise<Restoring> {
  await prepareRestore(pod);
  return startPrepared(pod, login, order);
}

/** A whole restore of a place's snapshots into a database of the same server. */
export async function restoreInto(
  place: Place,
  database: string,
  order: RestoreOrder = restoreLatest,
  over: { identity?: string; task?: Partial<Task>; login?: Partial<Login> } = {},
): Promise<Done> {
  const pod = await place.pod(`restore-${database}`, { ...into(place, database), ...over.task });
  const whole = over.identity === undefined ? order : await withIdentity(pod, order, over.identity);
  return (await startRestore(pod, { ...place.world.postgres, ...over.login }, whole)).done;
}

export function into(place: Place, database: string): Partial<Task> {
  return { database: { ...place.task.database, name: database } };
}
