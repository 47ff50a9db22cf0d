// The end marker of dumps that are text, fed in every size of chunk.
import { describe, expect, test } from 'vitest';
import { engines } from '../../../crds/rules/engines/table.ts';
import { push } from '../../executor/spent.ts';

const rows = `INSERT INTO t VALUES (1,'${'x'.repeat(3000)}');\n`;
const mariadb = '-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB\n';
const sandbox = `/*M!999999\\- enable the sandbox mode */ \n${mariadb}`;
const done = '-- Dump completed on 2026-11-21 17:44:11\n';
const cluster = '--\n-- PostgreSQL database cluster dump\n--\n\n';
const complete = '\n--\n-- PostgreSQL database cluster dump complete\n--\n\n';

function watch(engine: 'mariadb' | 'mysql' | 'postgres', text: string, size: number): void {
  const marker = engines[engine].endMarker({ allDatabases: true });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) push(marker, bytes.subarray(at, at + size));
  marker.end();
}

describe.each([1, 7, 1023, 1024, 1025, 65_536])('in chunks of %i bytes', (size) => {
  test.each<[string, 'mariadb' | 'mysql' | 'postgres', string]>([
    ['of MariaDB', 'mariadb', `${mariadb}${rows}${done}`],
    ['of MariaDB with its first line', 'mariadb', `${sandbox}${rows}${done}`],
    ['of MySQL, without a date', 'mysql', `-- MySQL dump 10.13  Distrib 8.0.36\n${rows}\n-- Dump completed\n`],
    ['that is small', 'mariadb', `${mariadb}${done}`],
    ['of PostgreSQL', 'postgres', `${cluster}${rows}${complete}`],
    ['of a newer PostgreSQL', 'postgres', `${cluster}\\restrict abc\n${rows}${complete}\\unrestrict aBc1\n\n`],
  ])('a whole dump %s passes', (_what, engine, text) => {
    watch(engine, text, size);
  });

  test.each<[string, 'mariadb' | 'postgres', string, RegExp]>([
    [
      'without its last byte',
      'mariadb',
      `${mariadb}${rows}${done}`.slice(0, -1),
      /without the last line of mariadb-dump/,
    ],
    ['without its last line', 'mariadb', `${mariadb}${rows}`, /cut off/],
    [
      'with a row that looks like its end',
      'mariadb',
      `${mariadb}INSERT INTO t VALUES ('\\n-- Dump completed\\n');\n`,
      /cut off/,
    ],
    ['with something behind its end', 'mariadb', `${mariadb}${rows}${done}gone\n`, /cut off/],
    ['of another tool', 'mariadb', `${cluster}${rows}${done}`, /does not begin as what mariadb-dump writes/],
    ['that is a message', 'mariadb', 'ERROR 1045\n', /does not begin/],
    ['without its last lines', 'postgres', `${cluster}${rows}`, /without the last line of pg_dumpall/],
    ['whose end is far from the end', 'postgres', `${cluster}${complete}${rows}`, /cut off/],
  ])('a dump %s does not', (_what, engine, text, message) => {
    expect(() => watch(engine, text, size)).toThrow(message);
  });
});
