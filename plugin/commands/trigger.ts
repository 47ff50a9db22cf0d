// `trigger NAME [--wait]`: asks the controller for a backup now. A trigger that is still waiting is joined, never replaced.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { group, timestamp } from '../../crds/rules/names.ts';
import { ApiError, CommandError, exitCodes, UsageError } from '../errors.ts';
import { follow } from '../follow.ts';
import { nameOf } from '../options.ts';
import { oneLine } from '../output/printable.ts';
import { duration, size } from '../output/quantities.ts';
import { pendingToken } from '../situation.ts';
import type { World } from '../world.ts';

export interface TriggerOptions {
  name: string;
  wait: boolean;
  /** Such as 30m; 0 waits for ever. */
  timeout: string;
}

/** The controller writes status a few times a run: more conflicts in a row than this are something else. */
const attempts = 10;
const conflictMilliseconds = 200;

interface Asked {
  backup: DatabaseBackup;
  token: string;
  isJoined: boolean;
}

async function ask(world: World, name: string): Promise<Asked> {
  for (let left = attempts; ; left -= 1) {
    const backup = await world.kube.getBackup(world.namespace, name);
    const pending = pendingToken(backup);
    if (pending !== undefined) return { backup, token: pending, isJoined: true };
    const token = `${timestamp(world.now())}-${world.randomHex(8)}`;
    try {
      await world.kube.setTrigger(backup, token);
      return { backup, token, isJoined: false };
    } catch (error) {
      // Someone wrote between our read and our write: perhaps another trigger, which we then join.
      if (!(error instanceof ApiError) || error.status !== 409 || left <= 1) throw error;
      await world.pause(conflictMilliseconds);
    }
  }
}

export async function trigger(world: World, options: TriggerOptions): Promise<void> {
  const limit = duration(options.timeout);
  if (limit === undefined)
    throw new UsageError(`--timeout "${options.timeout}": not a duration: write it as 90s, 30m or 2h`);
  const { terminal } = world;
  const name = nameOf(options.name);
  const { backup, token, isJoined } = await ask(world, name);
  const what = isJoined ? 'joined the backup that was asked for and has not started' : 'triggered';
  const line = `databasebackup.${group}/${backup.metadata.name} ${what} (token ${oneLine(token)})`;
  if (!options.wait) {
    terminal.print(line);
    return;
  }
  terminal.note(line);
  const interrupted = (): void => terminal.note('Stopped waiting; the backup goes on.');
  world.signal.addEventListener('abort', interrupted, { once: true });
  try {
    const end = await follow(world, { name: backup.metadata.name, token, limitMilliseconds: limit });
    if (end.kind === 'failed') throw new CommandError(end.message, exitCodes.failed);
    terminal.print(`snapshot ${oneLine(end.id)} stored at ${oneLine(end.key)} (${size(end.storedSize)})`);
  } finally {
    world.signal.removeEventListener('abort', interrupted);
  }
}
