// What a YAML scalar means to Kubernetes. kubectl reads YAML 1.1 with a few exceptions of its own (yes and on are booleans, 017 is 15, 1:30 is
// no number), which is neither schema of the yaml package. test/integration/plugin-validate-agreement.test.ts holds this against kubectl.

export type Meaning = { value: unknown } | { problem: string };

const words = new Map<string, unknown>();
for (const [value, forms] of [
  [true, ['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON']],
  [false, ['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF']],
  [null, ['', '~', 'null', 'Null', 'NULL']],
  [Number.NaN, ['.nan', '.NaN', '.NAN']],
  [Number.POSITIVE_INFINITY, ['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF']],
  [Number.NEGATIVE_INFINITY, ['-.inf', '-.Inf', '-.INF']],
] as const)
  for (const form of forms) words.set(form, value);

const standard = 'tag:yaml.org,2002:';

/**
 * @param text what stands there, without quotes and folds
 * @param isPlain it is not quoted and no block
 * @param tag its explicit tag
 */
export function meaning(text: string, isPlain: boolean, tag: string | undefined): Meaning {
  if (tag === undefined) return isPlain ? json(plain(text)) : { value: text };
  if (tag === `${standard}binary`) return { value: Buffer.from(text, 'base64').toString() };
  const wanted = kinds[tag.slice(standard.length)];
  if (!tag.startsWith(standard) || wanted === undefined) return { value: text };
  const value = plain(text);
  return wanted(value, text) ? json(value) : { problem: `cannot be read as ${tag.slice(standard.length)}` };
}

const kinds: Record<string, (value: unknown, text: string) => boolean> = {
  null: (value) => value === null,
  bool: (value) => typeof value === 'boolean',
  int: (value, text) => typeof value === 'number' && !/\./.test(text),
  float: (value) => typeof value === 'number',
};

function json(value: unknown): Meaning {
  return typeof value === 'number' && !Number.isFinite(value)
    ? { problem: 'is no number that JSON can hold' }
    : { value };
}

function plain(text: string): unknown {
  if (words.has(text)) return words.get(text);
  if (!/^[-+.\d]/.test(text)) return text;
  if (text.startsWith('._')) return text;
  const digits = text.replaceAll('_', '');
  return whole(digits) ?? fraction(digits) ?? text;
}

const bases: readonly (readonly [RegExp, number])[] = [
  [/^0[xX]([0-9a-fA-F]+)$/, 16],
  [/^0[bB]([01]+)$/, 2],
  [/^0[oO]?([0-7]+)$/, 8],
  [/^(0|[1-9]\d*)$/, 10],
];

/** Beyond 64 bits it is no whole number to kubectl, but may be a fraction or a text. */
const tooLarge = 2 ** 64;

function whole(digits: string): number | undefined {
  const sign = digits.startsWith('-') ? -1 : 1;
  const rest = digits.replace(/^[-+]/, '');
  for (const [form, base] of bases) {
    const found = form.exec(rest)?.[1];
    if (found === undefined) continue;
    const value = Number.parseInt(found, base);
    // JSON knows no -0.
    return value < tooLarge ? sign * value + 0 : undefined;
  }
  return undefined;
}

function fraction(digits: string): number | undefined {
  if (!/^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/.test(digits)) return undefined;
  const value = Number(digits);
  return Number.isFinite(value) ? value + 0 : undefined;
}
