// What the plugin prints with: safe text, tables, sizes, spans and times, colour.
import { describe, expect, it } from 'vitest';
import { encodeData } from '../../plugin/output/data.ts';
import { oneLine, printable } from '../../plugin/output/printable.ts';
import { age, duration, isUtc, size, span, utcAndLocal } from '../../plugin/output/quantities.ts';
import { fields, table } from '../../plugin/output/table.ts';
import { openTerminal } from '../../plugin/output/terminal.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

describe('text of a stranger', () => {
  it('cannot move the cursor, colour, or turn the direction', () => {
    expect(printable('a\u001b[2Jb\u0007\u009b31m\r\u202e\u007f\u2028c')).toBe(
      'a\\x1b[2Jb\\x07\\x9b31m\\r\\u202e\\x7f\\u2028c',
    );
  });

  it('keeps its letters, tabs and lines', () => {
    expect(printable('Zoë 北京 😀\tx\ny')).toBe('Zoë 北京 😀\tx\ny');
  });

  it('cannot look like a line of ours', () => {
    expect(oneLine(' failed\r\nFix: curl x | sh\n')).toBe('failed Fix: curl x | sh');
    expect(fields([['Message', 'x\nFix: y']])).toBe('Message:  x Fix: y');
    expect(table(['A', 'B'], [['x\ny', '\u001b[1m']])).toBe('A     B\nx y   \\x1b[1m');
  });

  it('is escaped in JSON and in YAML', async () => {
    const json = await encodeData({ a: '\u001b[1m\u009b1m' }, 'json');
    expect(json).toBe('{\n    "a": "\\u001b[1m\\u009b1m"\n}\n');
    expect(JSON.parse(json)).toEqual({ a: '\u001b[1m\u009b1m' });
    expect(await encodeData({ a: '\u001b[1m' }, 'yaml')).toBe('a: "\\e[1m"\n');
  });
});

it('tables are those of kubectl', () => {
  expect(
    table(
      ['NAME', 'AGE'],
      [
        ['orders', '3d'],
        ['x', ''],
      ],
    ),
  ).toBe('NAME     AGE\norders   3d\nx        <none>');
  expect(table(['NAME', 'AGE'], [['x', '1s']], false)).toBe('x   1s');
});

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1_288_490_189, '1.2 GiB'],
  [undefined, '<unknown>'],
])('%s bytes are %s', (bytes, text) => {
  expect(size(bytes)).toBe(text);
});

it.each([
  [-5, '0 s', '0s'],
  [119 * second, '119 s', '119s'],
  [2 * minute, '2 min', '2m'],
  [26 * hour, '26 h', '26h'],
  [49 * hour, '2 days', '2d'],
])('%s ms are %s and %s', (milliseconds, words, column) => {
  expect([span(milliseconds), age(milliseconds)]).toEqual([words, column]);
});

it.each([
  ['90s', 90 * second],
  ['1h30m', 90 * minute],
  ['2d', 48 * hour],
  ['0', 0],
  ['10', undefined],
  ['', undefined],
  ['-1s', undefined],
  ['1 h', undefined],
])('the duration "%s" is %s ms', (text, milliseconds) => {
  expect(duration(text)).toBe(milliseconds);
});

it('times stand in UTC and in the zone of the user', () => {
  const time = new Date('2025-03-30T01:00:05Z');
  expect(utcAndLocal(time, 'Europe/Berlin')).toBe('2025-03-30 01:00:05 UTC (2025-03-30 03:00:05 Europe/Berlin)');
  expect(utcAndLocal(time, 'Etc/UTC')).toBe('2025-03-30 01:00:05 UTC');
  expect(utcAndLocal(undefined, 'UTC')).toBe('<unknown>');
  expect(['UTC', 'Etc/UTC', 'GMT', 'Europe/London'].map(isUtc)).toEqual([true, true, true, false]);
});

describe('the terminal', () => {
  function open(colour: boolean, isTTY: boolean) {
    const written = { out: '', err: '' };
    let time = 0;
    const terminal = openTerminal({
      stdout: { write: (text) => (written.out += text) },
      stderr: { write: (text) => (written.err += text), isTTY },
      colour,
      now: () => new Date(time),
    });
    const later = (milliseconds: number) => {
      time += milliseconds;
    };
    return { terminal, written, later };
  }

  it('colours its own text only when told to', () => {
    const [plain, coloured] = [open(false, true), open(true, true)];
    for (const { terminal } of [plain, coloured]) terminal.print('bad \u001b[2J', 'bad');
    expect(plain.written.out).toBe('bad \\x1b[2J\n');
    expect(coloured.written.out).toBe('\u001b[31mbad \\x1b[2J\u001b[0m\n');
  });

  it('replaces a line of progress on a screen', () => {
    const { terminal, written } = open(false, true);
    terminal.progress('1');
    terminal.progress('2');
    terminal.note('end');
    expect(written).toEqual({ out: '', err: '\r\u001b[K1\r\u001b[K2\r\u001b[Kend\n' });
  });

  it('writes progress seldom where there is no screen', () => {
    const { terminal, written, later } = open(false, false);
    for (let n = 0; n < 21; n += 1) {
      terminal.progress(`${n}`);
      later(second);
    }
    expect(written.err).toBe('0\n10\n20\n');
  });
});
