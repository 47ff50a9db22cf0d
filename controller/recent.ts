// A map that keeps what was used last: when it is full, what was not used for the longest time goes.

export class Recent<V> {
  private readonly entries = new Map<string, V>();
  private readonly most: number;

  constructor(most: number) {
    this.most = most;
  }

  get size(): number {
    return this.entries.size;
  }

  /** The value of a key, made when there is none or it holds no longer; it is the last used from now on. */
  take(key: string, make: () => V, holds: (value: V) => boolean = () => true): V {
    const known = this.entries.get(key);
    const value = known !== undefined && holds(known) ? known : make();
    this.entries.delete(key);
    this.entries.set(key, value);
    const [oldest] = this.entries.keys();
    if (this.entries.size > this.most && oldest !== undefined) this.entries.delete(oldest);
    return value;
  }
}
