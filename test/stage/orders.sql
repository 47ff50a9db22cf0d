-- Data that breaks careless dumps: foreign keys, names and text beyond ASCII, bytes, generated columns, large objects.
create schema "Bücher";
create table "Bücher"."Käufer" (
  id bigint generated always as identity primary key,
  name text not null,
  "größe" numeric(10, 3),
  foto bytea,
  seit timestamptz not null,
  merkmale jsonb
);
create table "Bücher"."Bestellung" (
  id bigint generated always as identity primary key,
  "käufer" bigint not null references "Bücher"."Käufer" (id),
  betrag numeric(12, 2) not null,
  brutto numeric(12, 2) generated always as (round(betrag * 1.19, 2)) stored,
  notiz text
);
create index on "Bücher"."Bestellung" ("käufer");
create view "Bücher"."Umsatz" as
  select k.name, sum(b.brutto) as summe from "Bücher"."Käufer" k join "Bücher"."Bestellung" b on b."käufer" = k.id group by 1;
insert into "Bücher"."Käufer" (name, "größe", foto, seit, merkmale)
  select 'Ålice 李 🦆 ' || n || E'\t\\ ' || chr(9731), n / 7.0, decode(md5(n::text) || '00ff0a5c', 'hex'),
         timestamptz '2024-02-29 23:59:59+05:30' + n * interval '1 hour', jsonb_build_object('n', n, 'ключ', repeat('ж', n % 50))
  from generate_series(1, 2000) n;
insert into "Bücher"."Bestellung" ("käufer", betrag, notiz)
  select 1 + n % 2000, n * 1.37, case when n % 3 = 0 then null else repeat(E'Zeile\n', n % 9) end from generate_series(1, 20000) n;
create table blobs (name text primary key, content oid not null);
insert into blobs select 'blob ' || n, lo_from_bytea(0, decode(repeat(md5(n::text), 5000 * n), 'hex')) from generate_series(1, 5) n;
create sequence counter start 42;
select setval('counter', 4711);
