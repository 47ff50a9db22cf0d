// A measurement of both sides, and how it is shown: a table for people, one JSON object a line for programs.

export interface Row {
  name: string;
  unit: string;
  /** Medians; null where the peer could not be had, or there is none. */
  ours: number;
  theirs: number | null;
  /** Above 1 ours is better, whichever way the unit points. */
  ratio: number | null;
  oursMemoryMiB: number;
  theirsMemoryMiB: number | null;
  /** Of each side. */
  runs: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Three digits that count. */
const rounded = (value: number): number => Number(value.toPrecision(3));

export interface Side {
  values: readonly number[];
  memoryMiB: number;
}

/** @param better which way the unit points */
export function row(name: string, unit: string, better: 'less' | 'more', ours: Side, theirs: Side | undefined): Row {
  const own = median(ours.values);
  const other = theirs === undefined ? null : median(theirs.values);
  const ratio = other === null ? null : better === 'less' ? other / own : own / other;
  return {
    name,
    unit,
    ours: rounded(own),
    theirs: other === null ? null : rounded(other),
    ratio: ratio === null ? null : rounded(ratio),
    oursMemoryMiB: rounded(ours.memoryMiB),
    theirsMemoryMiB: theirs === undefined ? null : rounded(theirs.memoryMiB),
    runs: ours.values.length,
  };
}

export const json = (rows: readonly Row[]): string => rows.map((one) => JSON.stringify(one)).join('\n');

export function table(rows: readonly Row[]): string {
  const head = ['what', 'unit', 'ours', 'theirs', 'ratio', 'our MiB', 'their MiB', 'runs'];
  const show = (value: string | number | null): string => (value === null ? 'peer missing' : String(value));
  const body = rows.map((one) => Object.values(one).map(show));
  const widths = head.map((title, column) =>
    Math.max(title.length, ...body.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ');
  return [line(head), ...body.map(line)].join('\n');
}
