// A database in a few lines of text: every table's rows and checksum, large objects, sequences. Two that differ anywhere differ here.

/** SQL whose answer is the fingerprint, a line a table. Order of rows and physical layout do not matter. */
export const fingerprintSql = `
set client_min_messages = warning;
create or replace function pg_temp.fingerprint() returns setof text language plpgsql as $body$
declare
  item record;
  line text;
begin
  for item in
    select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_t%'
    order by 1
  loop
    execute format(
      $q$select %L || ' rows=' || count(*) || ' sum=' || coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0) from %s t$q$,
      item.name, item.name) into line;
    return next line;
  end loop;
  return query select 'large object ' || oid || ' ' || md5(lo_get(oid)) from pg_largeobject_metadata order by oid;
  return query select 'sequence ' || schemaname || '.' || sequencename || ' ' || coalesce(last_value::text, '-')
    from pg_sequences order by 1;
  return query select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
    from pg_constraint where connamespace::regnamespace::text not in ('pg_catalog', 'information_schema') order by 1;
  return query select 'view ' || schemaname || '.' || viewname || ' ' || md5(definition)
    from pg_views where schemaname not in ('pg_catalog', 'information_schema') order by 1;
end
$body$;
select * from pg_temp.fingerprint();
`;

/** Lines that one has and the other has not; empty when they are the same. */
export function differences(source: string, copy: string): string[] {
  const [a, b] = [source, copy].map((text) => new Set(text.trim().split('\n')));
  const only = (left: Set<string> | undefined, right: Set<string> | undefined, label: string): string[] =>
    [...(left ?? [])].filter((line) => !right?.has(line)).map((line) => `${label}: ${line}`);
  return [...only(a, b, 'only in the source'), ...only(b, a, 'only in the copy')];
}
