# shellcheck shell=bash
# What is broken, one function each. A fault returns once it is over and whoever was killed has been started again; whether all
# recovers from it is seen afterwards. Sourced by scripts/drill.

FAULTS=(
    calm
    kill-admission kill-dispatcher freeze-dispatcher kill-worker kill-ws-push kill-operator
    restart-rabbitmq kill-rabbitmq flush-redis restart-redis freeze-redis restart-postgres kill-postgres
    fail-over-redis
    disorder kill-workers
)

# How long what was killed stays away: longer than any lease, as with a machine that has to boot.
AWAY_SECONDS=5
# How long a frozen dispatcher sleeps: longer than its lease and its heartbeats.
FROZEN_SECONDS=20

# How often a worker is killed at random, and how long it stays away at most.
KILLS=20
KILLED_SECONDS_MAX=3
# How often one is killed while it commits, and the line's pace meanwhile: when one dies, the other has nothing to do.
QUIET_KILLS=5
QUIET_CEILING=10
# How long commits are held up around such a death: a turn comes to the other worker meanwhile.
HELD_UP_SECONDS=1

# Which stage a fault needs: another Redis, or an unruly payment provider.
stage_of() {
    case $1 in
        fail-over-redis) echo sentinel ;;
        disorder | kill-workers) echo disorderly ;;
        *) echo single ;;
    esac
}

# What the crowd does with its orders, as options of `sluice swarm`.
manners_of() {
    case $(stage_of "$1") in
        disorderly) echo --abandon 0.3 --late 0.05 --refund 0.1 ;;
        *) echo ;;
    esac
}

# Seconds to pay. What is abandoned goes to the next, of whom a third abandons it again: many rounds.
window_of() {
    case $(stage_of "$1") in
        disorderly) echo 30 ;;
        *) echo 60 ;;
    esac
}

# Nothing: what the same crowd sees on a quiet night.
fault_calm() { :; }

# Nothing dies, but hardly anybody is orderly: buyers abandon, pay late and give back; callbacks come twice, out of order, not at all.
fault_disorder() { :; }

# --- roles ---------------------------------------------------------------------------------------------------------------

fault_kill_admission() { kill_role admission-1; }
fault_kill_worker() { kill_role worker-1; }
fault_kill_ws_push() { kill_role ws-push-1; }
fault_kill_operator() { kill_role operator-1; }

fault_kill_dispatcher() {
    local active
    active=$(active_dispatcher) && kill_role "$active"
}

# It wakes up believing that it still speaks for the sale.
fault_freeze_dispatcher() {
    local active
    active=$(active_dispatcher) || return 1
    kill -STOP "${PIDS[$active]}" || return 1
    sleep "$FROZEN_SECONDS"
    kill -CONT "${PIDS[$active]}"
}

# In all that disorder: first with the line slow, whoever is committing, so that its turns come to the other while nobody can see
# what became of them; then in full swing, now this one, now that one, to the last deadlines.
fault_kill_workers() {
    tune "$QUIET_CEILING" "$QUIET_CEILING" || return 1
    kill_workers "$QUIET_KILLS" caught_committing || return 1
    tune "$CEILING" "$TAIL" || return 1
    kill_workers "$KILLS" any_worker
}

# A worker whose orders are held up on their way. Where other commits of theirs are held up first, that is tried again.
caught_committing() {
    local tries
    for ((tries = 0; tries < 20; tries++)); do
        hold_commits || return 1
        committing_worker && return
        let_commits_go || return 1
        sleep 0.5
    done
    return 1
}

any_worker() { echo "worker-$((RANDOM % 2 + 1))"; }

# kill_workers COUNT WHICH: a command that names the next one.
kill_workers() {
    local kill worker
    for ((kill = 0; kill < $1; kill++)); do
        worker=$("$2") || return 1
        if ! is_running "$worker"; then
            NOTES+=("$worker ended by itself; see $worker.log")
            let_commits_go && start_role "$worker"
            continue
        fi
        kill_at_once "$worker"
        if [[ $2 == caught_committing ]]; then sleep "$HELD_UP_SECONDS" && let_commits_go || return 1; fi
        sleep "$((RANDOM % KILLED_SECONDS_MAX)).$((RANDOM % 10))"
        start_role "$worker"
        sleep "$((RANDOM % KILLED_SECONDS_MAX + 1))"
    done
}

kill_role() {
    is_running "$1" || return 1
    kill_at_once "$1"
    sleep "$AWAY_SECONDS"
    start_role "$1"
}

kill_at_once() {
    kill -KILL "${PIDS[$1]}"
    # Collected, so that the shell does not report it later.
    wait "${PIDS[$1]}" 2>/dev/null || true
    unset "PIDS[$1]"
}

# The dispatcher whose turns of this sale are rising.
active_dispatcher() {
    local tries one two
    for ((tries = 0; tries < 20; tries++)); do
        one=$(turns_of dispatcher-1) two=$(turns_of dispatcher-2)
        sleep 0.5
        if (($(turns_of dispatcher-1) > one)); then echo dispatcher-1 && return; fi
        if (($(turns_of dispatcher-2) > two)); then echo dispatcher-2 && return; fi
    done
    return 1
}

turns_of() {
    curl -s --max-time 2 "http://127.0.0.1:$(admin_port_of "$1")/metrics" |
        awk -v sale="sale=\"$SALE\"" '/^sluice_turns_total\{/ && index($0, sale) { turns += $NF } END { printf "%d\n", turns }'
}

# --- stores --------------------------------------------------------------------------------------------------------------

fault_restart_rabbitmq() { store restart rabbitmq; }
fault_restart_postgres() { store restart postgres; }

fault_kill_rabbitmq() { kill_store rabbitmq; }
fault_kill_postgres() { kill_store postgres; }

# Its keys are gone, and nothing else says so: the same process, the same connections.
fault_flush_redis() { [[ $(redis-cli -u "${STORES[REDIS_URL]}" FLUSHALL) == OK ]]; }

# It comes back as another, and empty.
fault_restart_redis() { kill_store redis; }

# It accepts and says nothing.
fault_freeze_redis() {
    store pause redis || return 1
    sleep "$AWAY_SECONDS"
    store resume redis
}

# The sentinels make the replica the master; the old master comes back as a replica, without what it had said last.
fault_fail_over_redis() {
    local before
    before=$(redis_master)
    store kill redis || return 1
    await 60 "there is another master" another_master "$before" || return 1
    store up redis
}

kill_store() {
    store kill "$1" || return 1
    sleep "$AWAY_SECONDS"
    store up "$1"
}

redis_master() { redis-cli -u "${STORES[REDIS_SENTINEL_URLS]%%,*}" sentinel get-master-addr-by-name mymaster | paste -sd ' '; }
another_master() {
    local master
    master=$(redis_master)
    [[ -n $master && $master != "$1" ]]
}
