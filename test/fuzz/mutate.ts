// One thing wrong at a random place of a JSON value: a field dropped, doubled, retyped, renamed, made hostile or moved by one.
import { oneOf, type Random } from './chance.ts';
import { hostileText, hostileValue, numbers, specialKeys, withKey } from './hostile.ts';
import { slip } from './sample.ts';

interface Place {
  parent: object;
  key: string;
}

/** Bounds the search for a place in values that are huge already. */
const maxPlaces = 400;

function places(root: unknown): Place[] {
  const found: Place[] = [];
  const open: unknown[] = [root];
  for (const value of open) {
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (found.length >= maxPlaces) return found;
      found.push({ parent: value, key });
      open.push(inner);
    }
  }
  return found;
}

const read = ({ parent, key }: Place): unknown => Object.getOwnPropertyDescriptor(parent, key)?.value;

/** Changes the value in place. */
export function mutate(root: object, random: Random): void {
  const all = places(root);
  if (all.length === 0) return void withKey(root, random.pick(specialKeys), hostileValue(random));
  const place = random.pick(all);
  const { parent, key } = place;
  const value = read(place);
  const put = (next: unknown): void => void withKey(parent, key, next);
  oneOf(random, [
    [4, () => drop(place)],
    [4, () => put(near(value, random))],
    [4, () => put(hostileValue(random))],
    [3, () => put(typeof value === 'string' ? hostileText(random) : retyped(value))],
    [2, () => double(place, random)],
    [2, () => add(isTree(value) ? value : parent, random)],
    [1, () => put(structuredClone(read(random.pick(all))))],
    [1, () => put(null)],
    [1, () => rename(place, random)],
  ]);
}

const isTree = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** A field that nobody knows, or one more item. */
function add(tree: object, random: Random): void {
  if (Array.isArray(tree)) tree.push(hostileValue(random));
  else withKey(tree, random.pick(specialKeys), hostileValue(random));
}

function drop({ parent, key }: Place): void {
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else Reflect.deleteProperty(parent, key);
}

function double({ parent, key }: Place, random: Random): void {
  const value = structuredClone(read({ parent, key }));
  if (Array.isArray(parent)) parent.push(...Array.from({ length: random.pick([1, 1, 20]) }, () => value));
  else withKey(parent, `${key}${random.pick(['s', '2', ' ', '.'])}`, value);
}

function rename({ parent, key }: Place, random: Random): void {
  const value = read({ parent, key });
  if (Array.isArray(parent)) return;
  Reflect.deleteProperty(parent, key);
  withKey(parent, random.pick([slip(key, random), key.toUpperCase(), random.pick(specialKeys)]), value);
}

function near(value: unknown, random: Random): unknown {
  if (typeof value === 'string') return slip(value, random);
  if (typeof value === 'number')
    return random.pick([value + 1, value - 1, -value, value + 0.5, value * 1000, random.pick(numbers)]);
  if (typeof value === 'boolean') return random.pick<unknown>([!value, String(value), Number(value)]);
  if (Array.isArray(value))
    return random.pick<unknown>([
      [],
      [...value, ...value],
      [value],
      value[0] ?? null,
      Object.fromEntries(value.entries()),
    ]);
  return isTree(value) ? random.pick<unknown>([{}, [value], Object.values(value)]) : {};
}

/** The same, as a value of another type. */
function retyped(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return isTree(value) ? JSON.stringify(value)?.slice(0, 200) : [value];
}
