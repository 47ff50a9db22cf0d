// The windows of every backup, as the history of its status tells of them: each is claimed once, or counted as missed once.
import type { Backup } from '../../../controller/objects.ts';
import type { Told } from './chronicle.ts';

interface Account {
  name: string;
  claimed: Set<string>;
  missed: number;
  /** Windows up to this instant, in ms, are spoken for. */
  until: number;
  run: string | undefined;
}

export class Accounts {
  /** What was claimed twice, or not counted up as it should. */
  readonly breaches: string[] = [];
  /** By uid. */
  private readonly accounts = new Map<string, Account>();

  private read = 0;

  /** @param backups all that was told of them so far, in its order; it may be read again when it has grown */
  follow(backups: readonly Told<Backup>[]): this {
    for (const told of backups.slice(this.read)) this.take(told);
    this.read = backups.length;
    return this;
  }

  get claimed(): number {
    return this.sum(({ claimed }) => claimed.size);
  }

  get missed(): number {
    return this.sum(({ missed }) => missed);
  }

  /**
   * What does not add up; empty when each window is there once.
   * @param windows all of them that every backup had, in ms
   */
  wrong(windows: readonly number[]): string[] {
    const last = Math.max(...windows);
    const found = [...this.accounts.values()].flatMap(({ name, claimed, missed, until }) => {
      const strange = [...claimed].filter((slot) => !windows.includes(Date.parse(slot)));
      const count = claimed.size + missed;
      return [
        ...strange.map((slot) => `${name}: ${slot} is claimed and is no window`),
        ...(count === windows.length
          ? []
          : [`${name}: of ${windows.length} windows ${claimed.size} were claimed and ${missed} counted as missed`]),
        ...(until >= last ? [] : [`${name}: windows after ${new Date(until).toISOString()} are open`]),
      ];
    });
    return [...this.breaches, ...found];
  }

  private sum(of: (account: Account) => number): number {
    return [...this.accounts.values()].reduce((total, account) => total + of(account), 0);
  }

  private take({ type, object, revision }: Told<Backup>): void {
    const { uid, name, namespace } = object.metadata;
    const { run, missedWindows = 0, missedUntil, lastAttemptScheduledTime } = object.status ?? {};
    if (type === 'DELETED') return;
    const account = this.accounts.get(uid) ?? {
      ...{ name: `${namespace}/${name}`, claimed: new Set<string>(), missed: 0, until: 0, run: undefined },
    };
    this.accounts.set(uid, account);
    // One that was given up while the other controller made its Job is taken back.
    if (missedWindows < account.missed - 1)
      this.breaches.push(`${revision}: ${account.name}: missedWindows goes from ${account.missed} to ${missedWindows}`);
    account.missed = missedWindows;
    account.until = Math.max(
      ...[missedUntil, lastAttemptScheduledTime].map((time) => Date.parse(time ?? '') || 0),
      account.until,
    );
    if (run === undefined || run.jobUID === account.run) return;
    account.run = run.jobUID;
    if (run.slot === undefined) return;
    if (account.claimed.has(run.slot)) this.breaches.push(`${revision}: ${account.name}: ${run.slot} is claimed twice`);
    account.claimed.add(run.slot);
  }
}
