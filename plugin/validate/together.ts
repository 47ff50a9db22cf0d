// What only shows where several objects are seen at once: two of one name, two that write to one place.
import type { Placed } from './finding.ts';
import type { Place } from './sources.ts';

/** What is kept of an object once it has been judged. */
export interface Seen {
  kind: string;
  namespace: string;
  /** Empty with generateName. */
  name: string;
  /** Where it writes to; undefined where that cannot be said. */
  storage: string | undefined;
  nameAt: Place;
  storageAt: Place;
}

/** More are not named, however many they are. */
const maxNamed = 3;

export function together(objects: readonly Seen[]): Placed[] {
  return [...sameName(objects), ...samePlace(objects)];
}

const full = ({ namespace, name }: Seen): string => (namespace === '' ? name : `${namespace}/${name}`);
const identity = ({ kind, namespace, name }: Seen): string => JSON.stringify([kind, namespace, name]);

function sameName(objects: readonly Seen[]): Placed[] {
  const first = new Map<string, Seen>();
  return objects.flatMap((object): Placed[] => {
    if (object.name === '') return [];
    const known = first.get(identity(object));
    if (known === undefined) {
      first.set(identity(object), object);
      return [];
    }
    const { kind, namespace, name, nameAt } = object;
    const message = `is there already, in ${known.nameAt.file}:${known.nameAt.line}`;
    const common = {
      rule: 'same-name',
      field: 'metadata.name',
      severity: 'error',
      value: JSON.stringify(name),
    } as const;
    return [{ ...common, ...nameAt, kind, namespace, name, message, fix: 'rename or remove one of them' }];
  });
}

function samePlace(objects: readonly Seen[]): Placed[] {
  const places = Map.groupBy(objects, ({ storage }) => storage);
  places.delete(undefined);
  return [...places.values()].flatMap((group) => {
    const distinct = [...new Map(group.map((object) => [identity(object), object])).values()];
    return distinct.length < 2 ? [] : distinct.map((object, index) => overlap(object, distinct, index));
  });
}

function overlap(object: Seen, group: readonly Seen[], index: number): Placed {
  const { kind, namespace, name, storageAt } = object;
  // Enough for every reader to find the others, without a square of lines.
  const others = [...group.slice(0, Math.min(index, maxNamed)), ...group.slice(index + 1, index + 1 + maxNamed)];
  const shown = others.slice(0, maxNamed).map((other) => `${full(other)} (${other.nameAt.file}:${other.nameAt.line})`);
  const more = group.length - 1 - shown.length;
  const names = `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  const message = `has the storage, prefix and cluster of ${names}`;
  const fix = 'set another pathPrefix or database.cluster on one of them';
  const common = { rule: 'same-place', field: 'spec.storage', severity: 'warning' } as const;
  return { ...common, ...storageAt, kind, namespace, name, message, fix };
}
