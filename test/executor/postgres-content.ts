// Data for PostgreSQL that is awkward to dump, and what a database holds as text that two equal databases have in common.

const allBytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join('');

/** Every kind of column and object that PostgreSQL brings, with values at their edges. Extensions need a package of their own. */
export const awkwardTables = `
create type mood as enum ('glad', 'trüb', 'a''b'); create type pair as (a int, b text); create domain positive as int check (value > 0);
create table numbers (id serial primary key, s smallint, i int, b bigint, n numeric, r real, d double precision, m money, ok boolean, p positive);
insert into numbers (s, i, b, n, r, d, m, ok, p) values (-32768, -2147483648, -9223372036854775808, '123456789012345678901234567890.123456789', 'NaN', '-Infinity', '-92233720368547758.08', true, 1), (32767, 2147483647, 9223372036854775807, 'NaN', 16777217, 1e-308, '0.01', false, 2), (null, null, null, 'Infinity', 0.1, 0.1, null, null, null);
create table times (d date, t time(6), tz timetz, ts timestamp, tsz timestamptz, i interval);
insert into times values ('4713-01-01 BC', '24:00:00', '23:59:59.999999+15:59', 'infinity', '-infinity', '178000000 years'), ('5874897-12-31', '00:00:00', '00:00-15:59', '294276-12-31 23:59:59.999999', '2025-10-26 01:30:00+01', '-1 mon 3 days -00:00:01');
create table texts (id int primary key, c char(10), v varchar(200), t text collate "C", n name, e mood, p pair, arr text[][], j json, b jsonb, x xml, ts tsvector, q tsquery);
insert into texts values (1, 'pad', E'tab\\t newline\\n return\\r back\\\\slash \\\\. \\\\N', repeat('漢🐘', 1000), 'name', 'trüb', row(1, 'a"b,c'), array[['a', null], ['"', '\\']], '{"a" : 1, "a":2}', '{"a": [1, null, "ü"]}', '<a b="c">ü</a>', 'a:1A b:2', 'a & !b'), (2, '', '', '', '', null, null, '{}', 'null', 'null', null, '', ''), (3, null, '\\.', E'\\\\.\\n\\\\unrestrict x', null, null, null, null, null, null, null, null, null);
create table bytes (id int primary key, b bytea, bits bit varying(70), u uuid, mac macaddr8, net cidr, host inet, pt point, poly polygon, ci circle, ir int4range, mr tsmultirange, lsn pg_lsn);
insert into bytes values (1, decode('${allBytes}', 'hex'), b'101', '123e4567-e89b-12d3-a456-426614174000', '08:00:2b:01:02:03:04:05', '2001:db8::/32', '10.0.0.1/8', '(1,2)', '((0,0),(1,0),(1,1))', '<(0,0),1>', '[1,10)', '{[2024-01-01,2025-01-01)}', '16/B374D848'), (2, '', '', null, null, null, null, null, null, null, 'empty', '{}', null);
create table generated (id int generated always as identity (start 100 increment 5) primary key, n int, twice int generated always as (n * 2) stored, made timestamptz default now(), check (n > 0), exclude using gist (int4range(n, n, '[]') with &&));
insert into generated (n, made) values (5, '2025-01-01'), (6, '2025-01-02');
create table "tä""b'le \`x\` 漢 $(id)" ("sp alte ü" int primary key, "select" text default 'a''b\\'); insert into "tä""b'le \`x\` 漢 $(id)" values (1, 'v');
create schema "über ""schema"""; create table "über ""schema""".t (n int); insert into "über ""schema""".t values (1);
create table parents (id int primary key, child int); create table children (id int primary key, parent int references parents on delete cascade deferrable);
insert into parents values (1, 10); insert into children values (10, 1); alter table parents add foreign key (child) references children;
create table parts (id bigint, day date, primary key (id, day)) partition by range (day); create table parts_old partition of parts for values from (minvalue) to ('2025-01-01'); create table parts_rest partition of parts default;
insert into parts values (1, '2024-05-05'), (2, '2026-01-01');
create table base (n int); create table heir (m int) inherits (base); insert into heir values (1, 2); create unlogged table fast (n int); insert into fast values (1); create table empty_one (); create table no_rows (n int);
create index on texts using gin (b); create index partial on numbers (i) where ok; create unique index on texts (lower(v)); create statistics st on i, b from numbers;
create view first_view as select * from numbers; create materialized view counted as select count(*) from parts; create materialized view unfilled as select 1 as one with no data;
create sequence counter start 100 increment 5 cycle maxvalue 1000; select nextval('counter');
create function twice(n int) returns int language sql immutable as $$ select n * 2 $$; create procedure noted(who text) language plpgsql as $body$ begin raise notice '%', who; end $body$;
create aggregate total (int) (sfunc = int4pl, stype = int, initcond = '0'); create operator === (leftarg = int, rightarg = int, function = int4eq);
create function stamp() returns trigger language plpgsql as $$ begin new.made := coalesce(new.made, now()); return new; end $$; create trigger stamping before insert on generated for each row execute function stamp();
create rule quiet as on insert to no_rows do instead nothing; alter table no_rows enable row level security; create policy mine on no_rows using (n > 0);
comment on table texts is 'it''s a "comment"; -- \\unrestrict'; alter table numbers alter column n set storage external; alter table numbers set (fillfactor = 70);
select lo_from_bytea(200001, decode(repeat('${allBytes}', 100), 'hex')), lo_from_bytea(200002, ''), lo_from_bytea(200003, convert_to(repeat('large ü', 100000), 'UTF8')); comment on large object 200001 is 'of all bytes';
create publication everything for all tables;
`;

export function manyTables(count: number): string {
  return `do $$ begin for i in 1..${count} loop execute format('create table t%s (n int primary key, v text)', i); execute format('insert into t%s values (%s, ''v'')', i, i); if i % 500 = 0 then commit; end if; end loop; end $$`;
}

/** What a database has of its own, beside what is in it: no dump of one restores it. */
export const ownQuery = `
select coalesce(shobj_description(oid, 'pg_database'), ''), datconnlimit, datallowconn, pg_get_userbyid(datdba), datcollate, pg_encoding_to_char(encoding) from pg_database where datname = current_database();
select coalesce(r.rolname, ''), c from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole cross join unnest(setconfig) c where setdatabase = (select oid from pg_database where datname = current_database()) order by 1, 2;
select grantee::regrole, grantor::regrole, privilege_type, is_grantable from pg_database cross join aclexplode(datacl) where datname = current_database() order by 1, 3`;

/** A text that tells rows and their order of two tables apart, one query a database. */
export const contentQuery = `
select 'table ' || c.oid::regclass || ' ' || c.relkind::text || ' ' || c.relrowsecurity || ' ' || coalesce(obj_description(c.oid), '') || ' ' ||
  coalesce((xpath('/row/sum/text()', query_to_xml(format('select count(*) || '' '' || coalesce(md5(string_agg(md5(t::text), '''' order by md5(t::text))), '''') as sum from %s as t', c.oid::regclass), false, true, '')))[1]::text, '')
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm') and c.relispopulated and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all select 'column ' || a.attrelid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || a.attidentity::text || a.attgenerated::text || a.attstorage::text || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
  from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum where a.attnum > 0 and not a.attisdropped and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid <> 0 and connamespace <> 'pg_catalog'::regnamespace
union all select 'index ' || pg_get_indexdef(indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^pg_'
union all select 'sequence ' || schemaname || '.' || sequencename || ' ' || coalesce(last_value::text, '') || ' ' || increment_by || ' ' || cycle from pg_sequences
union all select 'function ' || oid::regprocedure || ' ' || prokind::text || ' ' || prosrc from pg_proc where pronamespace = 'public'::regnamespace
union all select 'trigger ' || pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
union all select 'type ' || oid::regtype || ' ' || typtype::text || coalesce((select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum where enumtypid = pg_type.oid), '') from pg_type where typnamespace = 'public'::regnamespace and typtype in ('e', 'd', 'c')
union all select 'view ' || viewname || ' ' || definition from pg_views where schemaname = 'public'
union all select 'policy ' || polname || ' ' || pg_get_expr(polqual, polrelid) from pg_policy
union all select 'publication ' || pubname || ' ' || puballtables from pg_publication
union all select 'large object ' || oid || ' ' || md5(lo_get(oid)) || ' ' || coalesce(obj_description(oid, 'pg_largeobject'), '') from pg_largeobject_metadata
order by 1`;
