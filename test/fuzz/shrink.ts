// Makes a failing value smaller while it still fails: fields and items go, texts are halved, trees become nothing.

/** Each is one more run of the checks. */
const maxTrials = 3000;

export async function shrink<T>(value: T, fails: (candidate: T) => boolean | Promise<boolean>): Promise<T> {
  let best = value;
  let trials = 0;
  let smaller = true;
  while (smaller && trials < maxTrials) {
    smaller = false;
    for (const candidate of candidates(best)) {
      if (++trials > maxTrials) break;
      if (!(await fails(candidate as T))) continue;
      best = candidate as T;
      smaller = true;
      break;
    }
  }
  return best;
}

/** Every value with one thing less, the large cuts first. */
function* candidates(value: unknown): Generator<unknown> {
  if (typeof value === 'string') {
    const letters = [...value];
    if (letters.length > 1) {
      yield letters.slice(0, letters.length / 2).join('');
      yield letters.slice(letters.length / 2).join('');
    }
    if (letters.length > 1 && letters.length < 40)
      for (let at = 0; at < letters.length; at++) yield letters.toSpliced(at, 1).join('');
    return;
  }
  if (Array.isArray(value)) {
    if (value.length > 1) yield value.slice(0, value.length / 2);
    for (let at = 0; at < Math.min(value.length, 40); at++) yield value.toSpliced(at, 1);
    for (let at = 0; at < Math.min(value.length, 40); at++)
      for (const item of candidates(value[at])) yield value.with(at, item);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const entries = Object.entries(value);
  for (const [name] of entries) yield fromEntries(entries.filter(([other]) => other !== name));
  for (const [name, inner] of entries)
    for (const item of candidates(inner))
      yield fromEntries(entries.map(([key, old]) => [key, key === name ? item : old]));
}

/** Defines each as a field of its own, __proto__ too. */
const fromEntries = (entries: [string, unknown][]): object => Object.fromEntries(entries);
