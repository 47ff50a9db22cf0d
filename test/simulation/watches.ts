// The watch of one kind by one controller: changes arrive in order, late, held up, or lost until the next list.
import { adoptSpec, type Cached } from '../../controller/keep.ts';
import { keyOf } from '../../controller/watch.ts';
import { labels } from '../../crds/rules/names.ts';
import type { Random } from '../crds/seeded.ts';
import type { Agenda } from './agenda.ts';
import type { Api, Change, Kind, Stored } from './api.ts';

/** What a watch tells goes through here: the process may stand still, or be dead. */
export type Deliver = (happen: () => void) => void;

export class Watch<K extends Kind> {
  readonly kind: K;
  readonly items = new Map<string, Stored[K]>();
  /** Nothing is delivered before. */
  heldUntil = 0;
  private readonly agenda: Agenda;
  private readonly api: Api;
  private readonly random: Random;
  private readonly deliver: Deliver;
  private readonly told: (object: Stored[K]) => void;
  /** Told of every whole list. */
  private readonly filled: () => void;
  private epoch = 0;
  private listed = false;
  private last = 0;
  /** In the order of the changes, whatever delays the deliveries. */
  private inOrder: (() => void)[] = [];

  constructor(
    kind: K,
    { agenda, api, random }: { agenda: Agenda; api: Api; random: Random },
    deliver: Deliver,
    told: (object: Stored[K]) => void,
    filled: () => void,
  ) {
    this.kind = kind;
    this.agenda = agenda;
    this.api = api;
    this.random = random;
    this.deliver = deliver;
    this.told = told;
    this.filled = filled;
  }

  /** Nothing is on its way. */
  get idle(): boolean {
    return this.listed && this.inOrder.length === 0;
  }

  /** Forgets what is under way and lists after a while. */
  list(wait: number): void {
    const epoch = ++this.epoch;
    this.listed = false;
    this.inOrder = [];
    this.agenda.in(wait, () => {
      if (epoch !== this.epoch) return;
      this.listed = true;
      const fresh = [...this.api.all(this.kind).values()].filter((object) => this.matches(object));
      this.arrive(epoch, () => {
        this.take(fresh);
        this.filled();
      });
    });
  }

  follow({ kind, before, after }: Change): void {
    if (kind !== this.kind || !this.listed) return;
    const was = before !== undefined && this.matches(before as Stored[K]);
    const is = after !== undefined && this.matches(after as Stored[K]);
    if (!was && !is) return;
    this.arrive(this.epoch, () => {
      const object = (is ? after : before) as Stored[K];
      if (is) this.items.set(keyOf(object), this.kept(object));
      else this.items.delete(keyOf(object));
      this.told(object);
    });
  }

  /** Tells everything again, as a resync does. */
  repeat(): void {
    for (const item of [...this.items.values()]) this.told(item);
  }

  private arrive(epoch: number, happen: () => void): void {
    this.last = Math.max(this.last, this.heldUntil, this.agenda.now + 1 + this.random.below(80));
    this.inOrder.push(happen);
    this.agenda.at(this.last, () =>
      this.deliver(() => {
        if (epoch === this.epoch) this.inOrder.shift()?.();
      }),
    );
  }

  private take(fresh: readonly Stored[K][]): void {
    const next = new Map(fresh.map((object) => [keyOf(object), this.kept(object)]));
    const gone = [...this.items.entries()].filter(([key]) => !next.has(key)).map(([, item]) => item);
    this.items.clear();
    for (const [key, item] of next) this.items.set(key, item);
    for (const item of [...gone, ...next.values()]) this.told(item);
  }

  private kept(object: Stored[K]): Stored[K] {
    return adoptSpec<Cached>(this.items.get(keyOf(object)) as Cached | undefined, object as Cached) as Stored[K];
  }

  private matches(object: Stored[K]): boolean {
    return this.kind === 'backups' || object.metadata.labels?.[labels.managedBy] === 'dbbackup';
  }
}
