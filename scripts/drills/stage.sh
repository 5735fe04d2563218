# shellcheck shell=bash
# What a drill is played on: the stores, two of each role that matters, one of the others. Sourced by scripts/drill.

ROLES=(operator-1 admission-1 admission-2 dispatcher-1 dispatcher-2 worker-1 worker-2 ws-push-1)
declare -A PIDS=() STORES=()
SERVICES=()
CROWD=
AUDITOR=
# Admin addresses of the roles from here on, in the order of ROLES; what buyers reach, twenty higher.
FIRST_PORT=${SLUICE_DRILL_PORT:-19300}

# await SECONDS WHAT CONDITION…: until it holds; fails if it does not.
await() {
    local end=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

set_stage() {
    say "setting the stage: $1"
    if [[ $1 == sentinel ]]; then
        start_services redis --cluster redis
        start_services others rabbitmq postgres
    else
        start_services all rabbitmq redis postgres
    fi
    command -v psql >/dev/null || give_up "psql is missing; on Debian: apt-get install postgresql-client"
    write_configuration "$1"
    local role
    TARGETS=("http://127.0.0.1:$(port_of admission-1)" "http://127.0.0.1:$(port_of admission-2)")
    for role in "${ROLES[@]}"; do start_role "$role"; done
    for role in "${ROLES[@]}"; do
        await 60 "$role is ready" is_ready "$role" || give_up "$role did not become ready; see $FOLDER/$role.log"
    done
}

# The ledger waits for a standby that says nothing, as a cluster does when one hangs: the workers' commits are asked for, and nobody
# sees what became of them until they are let go.
hold_commits() { set_standbys "= '*'"; }
let_commits_go() { set_standbys "TO DEFAULT"; }

set_standbys() {
    psql --quiet --no-psqlrc --output /dev/null --set ON_ERROR_STOP=1 "${STORES[POSTGRES_URL]}" \
        --command "ALTER SYSTEM SET synchronous_standby_names $1" --command "SELECT pg_reload_conf()"
}

# The worker whose orders wait to be committed, as soon as there is one.
committing_worker() {
    local port inode worker
    port=$(psql --quiet --no-psqlrc --tuples-only --no-align --set ON_ERROR_STOP=1 "${STORES[POSTGRES_URL]}" \
        --file "$here/drills/committing.sql") && [[ -n $port ]] || return 1
    # Its end of the connection, by the port.
    inode=$(awk -v port="$(printf ':%04X' "$port")" 'substr($2, 9) == port { print $10 }' /proc/net/tcp)
    for worker in worker-1 worker-2; do
        if find "/proc/${PIDS[$worker]}/fd" -lname "socket:\[$inode\]" 2>/dev/null | grep -q .; then echo "$worker" && return; fi
    done
    # It is gone meanwhile.
    any_worker
}

# tune CEILING TAIL: the line moves at most and at least so many places a second.
tune() { operate PATCH "/v1/sales/$SALE/policy" "{ \"ceiling_per_second\": $1, \"tail_per_second\": $2 }" >/dev/null; }

# The ledger keeps its tables and loses what makes them keep their word.
drop_constraints() {
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 "${STORES[POSTGRES_URL]}" --file "$here/drills/without-constraints.sql" ||
        give_up "the constraints could not be dropped"
}

# Drains the roles, then takes the stores away. Also what happens when the drill is ended from outside.
clear_stage() {
    local role code
    if [[ -n $CROWD ]]; then kill "$CROWD" 2>/dev/null || true; fi
    if [[ -n $AUDITOR ]]; then kill "$AUDITOR" 2>/dev/null || true; fi
    for role in "${!PIDS[@]}"; do kill -CONT "${PIDS[$role]}" 2>/dev/null && kill -TERM "${PIDS[$role]}" 2>/dev/null || true; done
    for role in "${!PIDS[@]}"; do
        await 20 "$role has drained" is_gone "$role" || kill -KILL "${PIDS[$role]}" 2>/dev/null || true
        code=0
        wait "${PIDS[$role]}" 2>/dev/null || code=$?
        if ((code != 0)); then say "remark: $role left with exit code $code when it was asked to drain; see $FOLDER/$role.log"; fi
        unset "PIDS[$role]"
    done
    stop_services
}

# --- the stores ----------------------------------------------------------------------------------------------------------

# start_services KEY ARGUMENTS…: a `scripts/services run` of its own, spoken to through a pipe.
start_services() {
    local key=$1 name value pipe
    shift
    pipe=$FOLDER/$key.pipe
    # What another stage's stores said is not to be taken for these stores' word.
    rm -f "$FOLDER/$key.services"
    mkfifo "$pipe"
    apart "$here/services" run "$@" <"$pipe" >"$FOLDER/$key.services" 2>"$FOLDER/$key.services.log" &
    SERVICES+=("$!")
    exec {STORES[$key]}>"$pipe"
    rm "$pipe"
    await 180 "the stores are ready" grep -qx ready "$FOLDER/$key.services" ||
        give_up "the stores did not start; see $FOLDER/$key.services.log"
    while IFS='=' read -r name value; do
        if [[ $name == *_URL || $name == *_URLS ]]; then STORES[$name]=$value; fi
    done <"$FOLDER/$key.services"
}

# apart COMMAND…: without our ends of the pipes, whose closing is what ends the stores. To be used with `&`.
apart() {
    let_go_of_pipes
    exec "$@"
}

let_go_of_pipes() {
    local key
    for key in all redis others; do
        if [[ -n ${STORES[$key]:-} ]]; then exec {STORES[$key]}>&-; fi
    done
}

stop_services() {
    local key
    let_go_of_pipes
    STORES=()
    for key in ${SERVICES[@]+"${SERVICES[@]}"}; do wait "$key" || true; done
    SERVICES=()
}

# store VERB INSTANCE: `kill redis`, `restart postgres`. Returns when it is done.
store() {
    local key=all before
    if [[ -z ${STORES[all]:-} ]]; then
        key=others
        if [[ $2 == redis* || $2 == sentinel* ]]; then key=redis; fi
    fi
    before=$(answers "$key")
    echo "$1 $2" >&"${STORES[$key]}"
    await 150 "the stores did $1 $2" has_more_answers "$key" "$before" || return 1
    [[ $(grep -E '^(done|failed) ' "$FOLDER/$key.services" | tail -n 1) == "done $1 $2" ]]
}

answers() { grep -cE '^(done|failed) ' "$FOLDER/$1.services" || true; }
has_more_answers() { (($(answers "$1") > $2)); }

# --- the roles -----------------------------------------------------------------------------------------------------------

index_of() {
    local n=0 role
    for role in "${ROLES[@]}"; do
        if [[ $role == "$1" ]]; then echo "$n" && return; fi
        n=$((n + 1))
    done
}

admin_port_of() { echo $((FIRST_PORT + $(index_of "$1"))); }
port_of() { echo $((FIRST_PORT + 20 + $(index_of "$1"))); }

# One file for all, as on the night; the addresses of each process come from its environment.
write_configuration() {
    local redis="topology = \"single\"
urls = [\"${STORES[REDIS_URL]}\"]"
    if [[ $1 == sentinel ]]; then
        redis="topology = \"sentinel\"
urls = [\"${STORES[REDIS_SENTINEL_URLS]//,/\", \"}\"]"
    fi
    TOKEN=$(random_word)
    (
        umask 077
        cat >"$FOLDER/sluice.toml" <<CONF
[backend]
kind = "distributed"
[redis]
$redis
[rabbitmq]
url = "${STORES[RABBITMQ_URL]}"
[postgres]
url = "${STORES[POSTGRES_URL]}"
[admission]
# The crowd speaks as a proxy does: every shopper has an address of their own.
trusted_proxies = ["127.0.0.0/8"]
[identity]
# Known by name, a shopper whose answer was lost finds the same place again. A cookie would have been lost with the answer, and the
# place would go to nobody: that is no fault of the line's, and would look like one.
mode = "header"
[ws_push]
public_url = "http://127.0.0.1:$(port_of ws-push-1)"
[worker]
public_url = "http://127.0.0.1:$(port_of worker-1)"
[admin]
tokens = [{ name = "drill", role = "admin", token = "$TOKEN" }]
[secrets]
queue_token_keys = [{ id = "drill", secret = "$(random_word)" }]
payment_webhook = ["whsec_$(head -c 32 /dev/urandom | base64 -w 0)"]
CONF
        if [[ $1 == disorderly ]]; then
            cat >>"$FOLDER/sluice.toml" <<CONF
[payment.simulated]
delay_spread_ms = 3000
duplicate = 0.3
reorder = 0.3
drop = 0.05
fail = 0.05
pay_after_close = 1.0
CONF
        fi
    )
}

random_word() { head -c 512 /dev/urandom | LC_ALL=C tr -dc 'a-zA-Z0-9' | head -c 43; }

start_role() {
    local name=$1 role=${1%-*} variables
    variables=("SLUICE_ADMIN__LISTEN=127.0.0.1:$(admin_port_of "$name")")
    # The others do not wait for a standby, so that the line goes on while the workers' commits are held up.
    if [[ $role != worker ]]; then
        variables+=("SLUICE_POSTGRES__URL=${STORES[POSTGRES_URL]}?options=-c%20synchronous_commit%3Dlocal")
    fi
    case $role in
        admission) variables+=("SLUICE_ADMISSION__LISTEN=127.0.0.1:$(port_of "$name")") ;;
        worker) variables+=("SLUICE_WORKER__LISTEN=127.0.0.1:$(port_of "$name")") ;;
        ws-push) variables+=("SLUICE_WS_PUSH__LISTEN=127.0.0.1:$(port_of "$name")") ;;
    esac
    apart env "${variables[@]}" "$BINARY" "$role" --config "$FOLDER/sluice.toml" </dev/null >>"$FOLDER/$name.log" 2>&1 &
    PIDS[$name]=$!
}

# A process that has ended and was not waited for is still in the table, as a zombie.
is_running() { [[ -n ${PIDS[$1]:-} && -r /proc/${PIDS[$1]}/exe ]] && readlink "/proc/${PIDS[$1]}/exe" >/dev/null; }
is_gone() { ! is_running "$1"; }

is_ready() {
    local port
    port=$(admin_port_of "$1")
    is_running "$1" && curl -sf --max-time 2 "http://127.0.0.1:$port/ready" >/dev/null
}

# operate METHOD PATH [BODY]: the operator API.
operate() {
    local port
    port=$(admin_port_of operator-1)
    curl -sS --fail-with-body --max-time 10 -X "$1" "http://127.0.0.1:$port$2" \
        -H "authorization: Bearer $TOKEN" -H "content-type: application/json" ${3:+--data "$3"}
}
