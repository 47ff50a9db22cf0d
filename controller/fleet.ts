// The series of all backups, written straight from the cache when they are asked for: they end with their object, and ten thousand
// objects cost no memory between two scrapes. (The client library keeps and checks labels for each series, which takes seconds then.)
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setImmediate as breathe } from 'node:timers/promises';
import { Registry } from 'prom-client';
import type { Backup } from './objects.ts';
import { escaped, families, labelsOf } from './series.ts';
import { type FinishedRun, Tally } from './tally.ts';
import { keyOf } from './watch.ts';

/** Characters written between two pauses, in which leases and watches go on: some 250 lines. */
const pieceLength = 32_768;

export class Fleet extends Registry {
  private readonly backups: ReadonlyMap<string, Backup>;
  private readonly tally: Tally;

  /** @param now steady time in ms */
  constructor(backups: ReadonlyMap<string, Backup>, now: () => number) {
    super();
    this.backups = backups;
    this.tally = new Tally(now);
  }

  /** Counts a run of a backup. Call it once for each, after its outcome stands in status. */
  runFinished(backup: Backup, run: FinishedRun): void {
    this.tally.add(keyOf(backup), labelsOf(backup), run);
  }

  forget(namespace: string, name: string): void {
    this.tally.forget(`${namespace}/${name}`);
  }

  /** All series, a piece at a time: whole they are some 30 MB for ten thousand objects. */
  async *pieces(): AsyncGenerator<string> {
    yield await super.metrics();
    this.tally.keep(this.backups);
    let piece = '';
    for (const part of this.parts()) {
      piece += part;
      if (piece.length < pieceLength) continue;
      yield piece;
      piece = '';
      await breathe();
    }
    yield piece;
  }

  override async metrics(): Promise<string> {
    let text = '';
    for await (const piece of this.pieces()) text += piece;
    return text;
  }

  /** Answers one who asks, as fast as they read. One who goes away meanwhile ends it. */
  async send(response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'Content-Type': this.contentType });
    await pipeline(this.pieces(), response).catch(() => response.destroy());
  }

  /** A line, or the lines of one object, at a time. */
  private *parts(): Generator<string> {
    const all = [...this.backups.values()].map((backup) => ({ backup, labels: labelsOf(backup) }));
    for (const { name, help, value } of families) {
      yield head(name, help, 'gauge');
      for (const { backup, labels } of all) {
        const now = value(backup);
        yield now === undefined || !Number.isFinite(now) ? '' : `${name}{${labels}} ${now}\n`;
      }
    }
    const condition = 'dbbackup_condition';
    yield head(condition, '1 for the status that a condition has', 'gauge');
    for (const { backup, labels } of all)
      for (const { type, status } of backup.status?.conditions ?? [])
        yield `${condition}{${labels},type="${escaped(type)}",status="${escaped(status)}"} 1\n`;
    const runs = 'dbbackup_runs_total';
    yield head(runs, 'Runs that ended, as this process saw them', 'counter');
    yield* this.tally.runs(runs);
    const deleted = 'dbbackup_retention_deleted_total';
    yield head(deleted, 'Snapshots that retention deleted, as this process saw it', 'counter');
    yield* this.tally.deleted(deleted);
    const duration = 'dbbackup_duration_seconds';
    yield head(duration, 'From dump start to commit, of runs that succeeded', 'histogram');
    yield* this.tally.durations(duration);
  }
}

const head = (name: string, help: string, type: string): string => `\n# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
