#!/bin/sh
# What the official image's entry point does, as far as tests need it: on the first start makes the data directory from
# POSTGRES_USER, POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE), POSTGRES_DB and /docker-entrypoint-initdb.d/*.sql.
set -eu

case ${1-} in
  -*) set -- postgres "$@" ;;
esac
if [ "${1-}" != postgres ]; then exec "$@"; fi

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -n "${POSTGRES_PASSWORD_FILE-}" ]; then POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
  if [ -z "${POSTGRES_PASSWORD-}" ]; then
    echo 'set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE: no server is started without a password' >&2
    exit 1
  fi
  user=${POSTGRES_USER:-postgres}
  work=$(mktemp -d)
  # initdb asks for the name of the user it runs as; a pod may run as any uid.
  if ! id -un >/dev/null 2>&1; then
    echo "postgres:x:$(id -u):$(id -g)::$work:/bin/false" >"$work/passwd"
    export NSS_WRAPPER_PASSWD="$work/passwd" NSS_WRAPPER_GROUP=/etc/group LD_PRELOAD=libnss_wrapper.so
  fi
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA" 2>/dev/null || true
  (umask 077 && printf '%s\n' "$POSTGRES_PASSWORD" >"$work/password")
  initdb -D "$PGDATA" -U "$user" -A scram-sha-256 --auth-local=trust -E UTF8 --locale=C.UTF-8 --pwfile="$work/password"
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  # The first start answers on its socket only, so nobody sees a server that is not finished.
  pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -c unix_socket_directories=$work" start
  export PGHOST="$work" PGUSER="$user"
  database=${POSTGRES_DB:-$user}
  if [ "$database" != postgres ]; then createdb --maintenance-db=postgres "$database"; fi
  for file in /docker-entrypoint-initdb.d/*.sql; do
    if [ -f "$file" ]; then psql -v ON_ERROR_STOP=1 -X -q -d "$database" -f "$file"; fi
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
  rm -r "$work"
  unset PGHOST PGUSER NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD POSTGRES_PASSWORD
fi

# The usual place of the socket may not exist or not be writable for this user.
sockets=/var/run/postgresql
[ -w "$sockets" ] || sockets=/tmp
shift
exec postgres -c listen_addresses='*' -c unix_socket_directories="$sockets" "$@"
