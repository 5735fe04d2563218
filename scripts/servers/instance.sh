# shellcheck shell=bash
# One server process: its folder, its process id, how it begins and ends. Sourced by scripts/services.

# How long a server may take until it answers; a busy machine boots three RabbitMQ nodes in less.
START_SECONDS=120
# How long a server may take to end when it is asked to, before it is made to.
STOP_SECONDS=20

# Everything of an instance lives in one folder: configuration, data, log, pid.
home_of() {
    if [[ $1 == postgres ]]; then echo "$POSTGRES_HOME"; else echo "$FOLDER/$1"; fi
}

pid_of() { cat "$(home_of "$1")/pid" 2>/dev/null || true; }

# Whether process $1 is one of ours: it works inside folder $2. A number alone may have been given to somebody else since.
# In a container, root may not look where another user's process works; then its command line must name the folder.
lives_in() {
    local at
    [[ -n $1 ]] || return 1
    if at=$(readlink "/proc/$1/cwd" 2>/dev/null); then
        [[ $at == "$2" || $at == "$2"/* ]]
    else
        tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$2/"
    fi
}

is_alive() { lives_in "$(pid_of "$1")" "$(home_of "$1")"; }

# spawn INSTANCE COMMAND…: in a session of its own, so that a ctrl-c meant for somebody else does not reach it.
spawn() {
    local instance=$1 home
    shift
    home=$(home_of "$instance")
    (
        # The lock on the ports is the script's, not the server's.
        if [[ -n ${PORTS_LOCK:-} ]]; then exec {PORTS_LOCK}>&-; fi
        # Erlang makes tables as large as the limit of open files.
        if [[ $(ulimit -n) == unlimited ]] || (($(ulimit -n) > 65536)); then ulimit -n 65536; fi
        cd "$home" && exec setsid "$@"
    ) </dev/null >>"$home/log" 2>&1 &
    echo $! >"$home/pid"
    disown
}

# await SECONDS INSTANCE CONDITION…: until the condition holds; fails, with the end of the log, when the server died.
await() {
    local instance=$2 end=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! is_alive "$instance" && sleep 0.2 && ! is_alive "$instance"; then
            complain "$instance ended by itself; the end of its log:"
        elif ((SECONDS >= end)); then
            complain "$instance does not answer; the end of its log:"
        else
            sleep 0.05
            continue
        fi
        tail -n 20 "$(home_of "$instance")/log" >&2
        return 1
    done
}

# The process and all it started; PostgreSQL's children have sessions of their own.
tree_of() {
    local child
    echo "$1"
    # shellcheck disable=SC2013
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do tree_of "$child"; done
}

signal_tree() {
    local pid
    is_alive "$2" || return 1
    for pid in $(tree_of "$(pid_of "$2")"); do kill "-$1" "$pid" 2>/dev/null || true; done
}

# At once, as a crash does it. Waits for its children too, and until the process is gone from the table: neither PostgreSQL nor
# RabbitMQ starts again beside what is left of it.
end_hard() {
    local tree
    is_alive "$1" || return 0
    tree=$(tree_of "$(pid_of "$1")")
    kill -KILL "$(pid_of "$1")" 2>/dev/null || true
    # Children that were paused must be awake to notice.
    # shellcheck disable=SC2086
    kill -CONT $tree 2>/dev/null || true
    # shellcheck disable=SC2086
    await_gone $tree
}

await_gone() {
    local pid end=$((SECONDS + STOP_SECONDS))
    for pid in "$@"; do
        while kill -0 "$pid" 2>/dev/null; do
            if ((SECONDS >= end)); then return 1; fi
            sleep 0.02
        done
    done
}

# As an administrator does it, then less politely.
end_gently() {
    local signal=TERM
    is_alive "$1" || return 0
    # "Fast" shutdown: clients are sent away, nothing is lost.
    if [[ $1 == postgres ]]; then signal=INT; fi
    signal_tree CONT "$1" || true
    kill "-$signal" "$(pid_of "$1")" 2>/dev/null || true
    await_gone "$(pid_of "$1")" || end_hard "$1"
}

# Ends what has a pid file below folder $1, whichever instances those are. Their data is about to go, so there is no ceremony;
# only PostgreSQL gets the chance to give its shared memory back.
end_everything_in() {
    local file pid end=$((SECONDS + 10))
    for file in "$1"/*/pid; do
        pid=$(cat "$file" 2>/dev/null) && lives_in "$pid" "${file%/pid}" || continue
        if [[ $file == */postgres/pid ]]; then
            # shellcheck disable=SC2046
            kill -CONT $(tree_of "$pid") 2>/dev/null || true
            kill -QUIT "$pid" 2>/dev/null || true
        else
            kill -KILL "$pid" 2>/dev/null || true
        fi
    done
    for file in "$1"/*/pid; do
        pid=$(cat "$file" 2>/dev/null) || continue
        while lives_in "$pid" "${file%/pid}"; do
            if ((SECONDS >= end)); then kill -KILL "$pid" 2>/dev/null || true; fi
            sleep 0.02
        done
    done
    postgres_free_memory "$1/postgres"
}
