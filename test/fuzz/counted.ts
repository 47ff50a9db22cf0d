// Counts how often an object is looked into, so that bounded work can be told without a clock.

export function counted<T extends object>(
  value: unknown,
  look: (value: unknown) => T,
): T & { reads: number; size: number } {
  let reads = 0;
  const known = new WeakMap<object, object>();
  function watched(inner: unknown): unknown {
    if (typeof inner !== 'object' || inner === null) return inner;
    const proxy = known.get(inner) ?? proxyOf(inner);
    known.set(inner, proxy);
    return proxy;
  }
  function proxyOf(target: object): object {
    return new Proxy(target, {
      get(_, key) {
        reads++;
        return watched(Reflect.get(target, key));
      },
      has(_, key) {
        reads++;
        return Reflect.has(target, key);
      },
      ownKeys() {
        reads++;
        return Reflect.ownKeys(target);
      },
    });
  }
  const found = look(watched(value));
  return { ...found, reads, size: sizeOf(value) };
}

/** Fields, items and, a line's worth of them at a time, letters. */
function sizeOf(root: unknown): number {
  let size = 1;
  const open = [root];
  for (let value = open.pop(); open.length > 0 || value !== undefined; value = open.pop()) {
    size++;
    if (typeof value === 'string') size += value.length / 80;
    if (typeof value === 'object' && value !== null)
      open.push(...Object.values(value).filter((inner) => inner !== undefined));
  }
  return Math.ceil(size);
}
