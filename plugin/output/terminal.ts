// Where a command writes: data to standard output, progress and messages to standard error. All of it is made safe to print.
import { printable } from './printable.ts';

export type Tone = 'good' | 'bad' | 'waiting';

export interface Terminal {
  /** A line or more for a person. */
  print(text: string, tone?: Tone): void;
  /** Data in a form of its own: JSON, YAML, a script. Its control characters are escaped by that form. */
  printData(text: string): void;
  /** A line beside the data. */
  note(text: string): void;
  /** A line that replaces the last one where the screen allows it. */
  progress(text: string): void;
}

export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
}

const colours: Record<Tone, string> = { good: '\u001b[32m', bad: '\u001b[31m', waiting: '\u001b[33m' };
const plain = '\u001b[0m';
const clearLine = '\r\u001b[K';
/** Without a screen a line of progress is written at most this often. */
const progressMilliseconds = 10_000;

export interface TerminalOptions {
  stdout: Output;
  stderr: Output;
  colour: boolean;
  now(): Date;
}

export function openTerminal({ stdout, stderr, colour, now }: TerminalOptions): Terminal {
  let isLineOpen = false;
  let lastProgress = Number.NEGATIVE_INFINITY;
  const close = (): void => {
    if (isLineOpen) stderr.write(clearLine);
    isLineOpen = false;
  };
  return {
    print(text, tone) {
      close();
      const safe = printable(text);
      stdout.write(`${tone !== undefined && colour ? colours[tone] + safe + plain : safe}\n`);
    },
    printData(text) {
      close();
      stdout.write(text);
    },
    note(text) {
      close();
      stderr.write(`${printable(text)}\n`);
    },
    progress(text) {
      if (stderr.isTTY === true) {
        stderr.write(`${clearLine}${printable(text)}`);
        isLineOpen = true;
        return;
      }
      const time = now().getTime();
      if (time - lastProgress < progressMilliseconds) return;
      lastProgress = time;
      stderr.write(`${printable(text)}\n`);
    },
  };
}
