// Values of a cluster made into words of a shell.

/** One word for any POSIX shell, whatever the text holds. Zero bytes cannot be in a word; nothing that we quote may have them. */
export function quote(text: string): string {
  if (text.includes('\0')) throw new Error(`quote ${JSON.stringify(text)} for a shell: it holds a zero byte`);
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Quoted only where that is needed, for commands that people read. */
export function word(text: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : quote(text);
}
