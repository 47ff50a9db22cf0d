// Text from the cluster made safe to print: a status, a log or a name must not move the cursor or hide what follows.

// Control characters but tab and newline, their eight-bit forms, and what turns the direction of text.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

const visible = (character: string): string => {
  const code = character.charCodeAt(0);
  if (character === '\r') return '\\r';
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
};

/** Keeps lines and tabs, shows every other control character as an escape. */
export function printable(text: string): string {
  return text.replace(unsafe, visible);
}

/** For a place where a new line would look like one of ours. */
export function oneLine(text: string): string {
  return printable(text.replace(/[\r\n\t ]+/g, ' ').trim());
}
