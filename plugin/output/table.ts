// Tables as kubectl prints them: upper-case headers, columns three spaces apart, <none> where there is nothing.
import { oneLine } from './printable.ts';

/** Lines without a final newline; empty when there is nothing to show. */
export function table(headers: readonly string[], rows: readonly (readonly string[])[], withHeaders = true): string {
  const lines = [...(withHeaders ? [headers] : []), ...rows].map((row) =>
    row.map((cell) => (cell === '' ? '<none>' : oneLine(cell))),
  );
  const widths = headers.map((_, column) => Math.max(0, ...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}

export function indent(text: string, by: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : by + line))
    .join('\n');
}

/** `Label:   value` lines with the values in one column. */
export function fields(entries: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...entries.map(([label]) => label.length + 1));
  return entries.map(([label, value]) => `${`${label}:`.padEnd(width)}  ${oneLine(value)}`.trimEnd()).join('\n');
}
