// What the generated validator calls: patterns that are tried only on texts that a maxLength may let pass, and the length of a text.

/** More than any maxLength of the schema. Beyond it maxLength has said enough: on a megabyte a pattern may take minutes. */
const longestMatched = 1024;

/** Stands in for RegExp in the generated validator. */
export function boundedPattern(pattern: string, flags: string): { test(text: string): boolean; toString(): string } {
  const expression = new RegExp(pattern, flags);
  return {
    test: (text) => text.length > longestMatched || expression.test(text),
    toString: () => String(expression), // ajv tells one from another by it.
  };
}

/** Characters as the API server counts them: code points. */
export function textLength(text: string): number {
  let length = 0;
  for (const _character of text) length += 1;
  return length;
}
