// Data for MySQL and MariaDB that is awkward to dump, and what a database holds as text that two equal databases have in common.
import { run } from '../rig/command.ts';
import type { Mariadb } from '../rig/servers/mariadb.ts';

const allBytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join('');

/** Every kind of column and object that this MariaDB knows, with values at their edges. */
export const awkwardTables = `
create table numbers (id int unsigned auto_increment primary key, t tinyint, s smallint, m mediumint, b bigint, u bigint unsigned, d decimal(65,30), f float, g double, flag bit(64), y year) auto_increment = 1000;
insert into numbers (t, s, m, b, u, d, f, g, flag, y) values (-128, -32768, -8388608, -9223372036854775808, 18446744073709551615, 12345678901234567890123456789012345.123456789012345678901234567890, 0.5, 2.2250738585072014e-308, b'1000000000000000000000000000000000000000000000000000000000000001', 1901), (127, 32767, 8388607, 9223372036854775807, 0, -0.000000000000000000000000000001, -1.25, 1e308, b'0', 2155), (null, null, null, null, null, null, null, null, null, null);
create table times (d date, t time(6), dt datetime(6), ts timestamp(6) null);
insert into times values ('1000-01-01', '-838:59:59.000000', '9999-12-31 23:59:59.999999', '2025-03-30 00:59:59.999999'), ('2024-02-29', '00:00:00.000001', '2024-02-29 12:00:00', '2025-10-26 01:30:00');
create table texts (id int primary key, c char(10), v varchar(200), l varchar(50) character set latin1, old text character set utf8mb3, long_one longtext, e enum('a', 'ä', 'with ''quote'''), s set('x', 'y', 'ü'), j json);
insert into texts values (1, 'pad ', 'tab\\t newline\\n return\\r nul\\0 back\\\\slash quote'' "double" \\\\. percent % _', 'ÄÖÜ', 'ñ', repeat('漢🐘', 1000), 'ä', 'x,ü', '{"a": [1, null, "\\\\u00fc"]}'), (2, '', '', '', '', '', 'with ''quote''', '', 'null'), (3, null, null, null, null, null, null, null, null), (4, null, '-- Dump completed\\n', null, null, '/*M!999999\\\\- enable the sandbox mode */', null, null, null), (5, null, '\\\\! touch /tmp/smuggled', null, null, 'DELIMITER ;;', null, null, null);
create table bytes (id int primary key, b binary(16), v varbinary(300), l longblob, g geometry, i inet6, u uuid);
insert into bytes values (1, x'00ff', x'${allBytes}', repeat(x'${allBytes}', 2000), st_geomfromtext('POLYGON((0 0,1 0,1 1,0 0))'), '2001:db8::1', '123e4567-e89b-12d3-a456-426614174000'), (2, '', '', '', null, null, null);
create table generated (id int primary key, n int, stored_one int as (n * 2) stored, virtual_one varchar(20) as (concat('n', n)) virtual, key (virtual_one), hidden int invisible default 7, made datetime default (now()), check (n > 0));
insert into generated (id, n, hidden, made) values (1, 5, 8, '2025-01-01'), (2, 6, 9, '2025-01-02');
create table \`tä"b'le \`\`x\`\` 漢\` (\`sp alte ü\` int primary key, \`select\` varchar(10) default 'a''b\\\\');
insert into \`tä"b'le \`\`x\`\` 漢\` values (1, 'v');
create table parents (id int primary key, child int); create table children (id int primary key, parent int, foreign key (parent) references parents (id) on delete cascade);
insert into parents values (1, 10); insert into children values (10, 1); alter table parents add foreign key (child) references children (id);
create table parts (id int, day date, primary key (id, day)) partition by range (year(day)) (partition p1 values less than (2025), partition p2 values less than maxvalue);
insert into parts values (1, '2024-05-05'), (2, '2026-01-01');
create table empty_one (n int); create table unkeyed (n int) engine = MyISAM; insert into unkeyed values (1), (1);
create sequence counter start with 100 increment by 5; do nextval(counter);
create view second_view as select id from numbers; create view first_view as select t.id from second_view t join texts x on x.id < t.id; create or replace view second_view as select id, t from numbers;
create function twice(n int) returns int deterministic return n * 2;
delimiter ;;
create procedure \`prozedur ü\`(in who varchar(20), out answer text) comment 'a ''comment''' begin declare x int default 1; while x < 3 do set x = x + 1; end while; set answer = concat('hello ', who, '; --'); end;;
create trigger before_texts before insert on texts for each row begin if new.c is null then set new.c = ''; end if; end;;
create event nightly on schedule every 1 day starts '2030-01-01 00:00:00' disable do begin delete from empty_one; end;;
delimiter ;
`;

export function manyTables(count: number): string {
  const all = Array.from(
    { length: count },
    (_, index) =>
      `create table t${index} (n int primary key, v varchar(20)); insert into t${index} values (${index}, 'v');`,
  );
  return all.join('\n');
}

/** SQL of a server whose password has become another one. */
export const userOf =
  ({ host, port, user }: Mariadb, password: string) =>
  (text: string, database = 'mysql'): Promise<string> =>
    run(
      [
        'mariadb',
        '--no-defaults',
        `--host=${host}`,
        `--port=${port}`,
        `--user=${user}`,
        '--default-character-set=utf8mb4',
        '-BNr',
        `--database=${database}`,
      ],
      { env: { PATH: process.env['PATH'], MYSQL_PWD: password }, input: text },
    );

const named = (name: string): string => `\`${name.replaceAll('`', '``')}\``;

/** Definition and checksum of every table, and every view, routine, trigger and event, asked of the server and not of a dump. */
export async function contentOf({ sql }: Pick<Mariadb, 'sql'>, database: string): Promise<string> {
  const list = async (query: string): Promise<string[]> =>
    (await sql(query, database)).split('\n').filter((line) => line !== '');
  const of = (table: string, column: string): string => `information_schema.${table} where ${column} = database()`;
  const tables = await list(
    `select table_name from ${of('tables', 'table_schema')} and table_type in ('BASE TABLE', 'SEQUENCE') order by 1`,
  );
  const views = await list(`select table_name from ${of('views', 'table_schema')} order by 1`);
  const statements = [
    ...tables.flatMap((name) => [`show create table ${named(name)};`, `checksum table ${named(name)} extended;`]),
    ...views.map((name) => `show create view ${named(name)};`),
    `select routine_type, routine_name, routine_definition, dtd_identifier, routine_comment, sql_mode, definer from ${of('routines', 'routine_schema')} order by 1, 2;`,
    `select specific_name, ordinal_position, parameter_mode, parameter_name, dtd_identifier from ${of('parameters', 'specific_schema')} order by 1, 2;`,
    `select trigger_name, event_object_table, action_timing, event_manipulation, action_statement, sql_mode, definer from ${of('triggers', 'trigger_schema')} order by 1;`,
    `select event_name, event_definition, interval_value, interval_field, starts, status, definer, time_zone from ${of('events', 'event_schema')} order by 1;`,
  ];
  const text = await sql(statements.join('\n'), database);
  return text.replaceAll(`${database}.`, '').replaceAll(`\`${database}\`.`, '');
}
