# shellcheck shell=bash
# PostgreSQL: one server, user and database `sluice`, password `sluice`, durable as in production.

# The folder of the newest version's programs; Debian keeps them off the path.
postgres_programs() {
    local candidate newest=
    for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V); do
        if [[ -x $candidate/initdb ]]; then newest=$candidate; fi
    done
    echo "$newest"
}

postgres_instances() { echo postgres; }

postgres_url() { echo "postgres://sluice:sluice@127.0.0.1:$(port_of postgres)/sluice"; }

postgres_urls() { say "POSTGRES_URL=$(postgres_url)"; }

postgres_environment() { say "export SLUICE_POSTGRES__URL='$(postgres_url)'"; }

# It refuses to run as root. Then it runs as `postgres`, which may not be able to get into the folder of a checkout: /root, say.
# Sets POSTGRES_HOME, once, for everything below.
postgres_settle() {
    POSTGRES_HOME=$FOLDER/postgres
    if ((UID == 0)) && ! postgres_may_enter "$FOLDER"; then
        POSTGRES_HOME=/var/tmp/sluice-services-$(cksum <<<"$FOLDER" | cut -d " " -f 1)/postgres
    fi
}

postgres_may_enter() {
    local folder=$1
    # Not there yet: what counts is the nearest parent that is.
    while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
    as_postgres test -x "$folder"
}

as_postgres() {
    if ((UID == 0)); then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

# Its data does not always lie in the folder that `stop --erase` removes.
postgres_erase() {
    if [[ $POSTGRES_HOME != "$FOLDER"/* ]]; then rm -rf "${POSTGRES_HOME%/postgres}"; fi
}

postgres_start() {
    local home programs owner
    home=$(home_of postgres) programs=$(postgres_programs) owner=$(id -un)
    if ((UID == 0)); then owner=postgres; fi
    if [[ ! -d $home ]]; then
        mkdir -p "${home%/postgres}"
        chmod 711 "${home%/postgres}"
        mkdir -m 700 "$home"
        touch "$home/log"
        chown -R "$owner" "$home"
    fi
    if [[ ! -f $home/data/PG_VERSION ]]; then
        postgres_create "$home" "$programs"
    fi
    # `exec`ed all the way: the process id is the server's.
    if ((UID == 0)); then
        spawn postgres setpriv --reuid=postgres --regid=postgres --init-groups -- "$programs/postgres" -D "$home/data"
    else
        spawn postgres "$programs/postgres" -D "$home/data"
    fi
}

postgres_create() {
    local home=$1 programs=$2 sockets=$1
    # A socket's path may have 107 bytes.
    if ((${#sockets} > 80)); then sockets=; fi
    rm -rf "$home/data"
    echo sluice >"$home/password"
    chmod 644 "$home/password"
    (
        cd "$home"
        as_postgres "$programs/initdb" -D "$home/data" --username=sluice --pwfile="$home/password" --auth=scram-sha-256 \
            --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions >"$home/log" 2>&1
    ) || { tail -n 20 "$home/log" >&2 && give_up "initdb failed"; }
    cat >>"$home/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $(port_of postgres)
unix_socket_directories = '$sockets'
max_connections = 300
fsync = on
# Shared memory in files of its folder: nothing of it outlives a kill and the folder.
dynamic_shared_memory_type = mmap
CONF
    if [[ ${TLS:-no} == yes ]]; then postgres_speak_tls "$home"; fi
}

# With the certificate of the tests, which names this machine. The key must be the server's own.
postgres_speak_tls() {
    local file
    for file in certificate.pem test-only-key.pem; do
        install -m 600 "$here/../http/tests/it/tls/$file" "$1/$file"
        if ((UID == 0)); then chown postgres: "$1/$file"; fi
    done
    cat >>"$1/data/postgresql.conf" <<CONF
ssl = on
ssl_cert_file = '$1/certificate.pem'
ssl_key_file = '$1/test-only-key.pem'
CONF
}

# A killed server leaves a few bytes of System V memory, which only its own next start would remove. Its number is in the last line
# but one of the pid file that a killed server leaves as well.
postgres_free_memory() {
    local memory
    memory=$(awk 'NR == 7 { print $2 }' "$1/data/postmaster.pid" 2>/dev/null) || return 0
    if [[ -n $memory ]]; then ipcrm -m "$memory" 2>/dev/null || true; fi
}

# It answers with a password, and the database is there.
postgres_is_ready() {
    local programs
    programs=$(postgres_programs)
    postgres_query "$programs" sluice "SELECT 1" && return
    postgres_query "$programs" postgres "CREATE DATABASE sluice"
}

postgres_is_whole() { postgres_is_ready; }

postgres_query() {
    PGPASSWORD=sluice PGCONNECT_TIMEOUT=5 "$1/psql" -X -q -h 127.0.0.1 -p "$(port_of postgres)" -U sluice -d "$2" -c "$3"
}
