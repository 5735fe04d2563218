# shellcheck shell=bash
# Redis: alone, with a replica and three sentinels, or as a cluster of three masters with a replica each.

SENTINEL_SERVICE=mymaster

redis_instances() {
    echo redis
    if [[ $CLUSTER == yes ]]; then printf '%s\n' redis-replica sentinel-1 sentinel-2 sentinel-3; fi
}

redis_cluster_instances() { printf 'redis-cluster-%s\n' 1 2 3 4 5 6; }

redis_url() { echo "redis://127.0.0.1:$(port_of "$1")"; }

redis_urls() {
    say "REDIS_URL=$(redis_url redis)"
    if [[ $CLUSTER == yes ]]; then
        say "REDIS_REPLICA_URL=$(redis_url redis-replica)"
        say "REDIS_SENTINEL_URLS=$(redis_url sentinel-1),$(redis_url sentinel-2),$(redis_url sentinel-3)"
        say "REDIS_SENTINEL_SERVICE=$SENTINEL_SERVICE"
    fi
}

redis_cluster_urls() {
    local instance urls=
    for instance in $(redis_cluster_instances); do urls+=${urls:+,}$(redis_url "$instance"); done
    say "REDIS_CLUSTER_URLS=$urls"
}

redis_environment() {
    if [[ $CLUSTER == yes ]]; then
        say "export SLUICE_REDIS__TOPOLOGY=sentinel"
        say "export SLUICE_REDIS__URLS='[\"$(redis_url sentinel-1)\", \"$(redis_url sentinel-2)\", \"$(redis_url sentinel-3)\"]'"
    else
        say "export SLUICE_REDIS__TOPOLOGY=single"
        say "export SLUICE_REDIS__URLS='[\"$(redis_url redis)\"]'"
    fi
}

redis_cli() { timeout 5 redis-cli -p "$(port_of "$1")" "${@:2}"; }

# --- a master, a replica, a member of a cluster --------------------------------------------------------------------------

# The configuration is written once: sentinels write into it who is whose replica.
redis_start() {
    local instance=$1 home append=no
    home=$(home_of "$instance")
    if [[ $PERSISTENT == yes ]]; then append=yes; fi
    mkdir -p "$home"
    chmod 700 "$home"
    if [[ ! -f $home/redis.conf ]]; then
        cat >"$home/redis.conf" <<CONF
bind 127.0.0.1
port $(port_of "$instance")
dir $home
databases 2048
maxmemory-policy noeviction
save ""
appendonly $append
enable-debug-command local
$(redis_role "$instance")
CONF
    fi
    spawn "$instance" redis-server "$home/redis.conf"
}

redis_role() {
    case $1 in
        redis-replica)
            echo "replicaof 127.0.0.1 $(port_of redis)"
            echo "repl-diskless-sync-delay 0"
            ;;
        redis-cluster-*)
            echo "cluster-enabled yes"
            echo "cluster-port $(($(port_of "$1") + 6))"
            echo "cluster-node-timeout 2000"
            ;;
        *) echo "repl-diskless-sync-delay 0" ;;
    esac
}

redis_is_ready() { [[ $(redis_cli "$1" ping) == PONG ]]; }

# Whichever of the two is the replica now, it has its master.
redis_is_whole() { [[ $(redis_cli "$1" info replication) != *master_link_status:down* ]]; }

redis_cluster_start() { redis_start "$1"; }
redis_cluster_is_ready() { redis_is_ready "$1"; }

# Makes one cluster of the six, once.
redis_cluster_join() {
    local instance nodes=()
    if [[ $(redis_cli redis-cluster-1 cluster info) != *cluster_state:ok* ]]; then
        for instance in $(redis_cluster_instances); do nodes+=("127.0.0.1:$(port_of "$instance")"); done
        timeout 60 redis-cli --cluster create "${nodes[@]}" --cluster-replicas 1 --cluster-yes >/dev/null
    fi
}

redis_cluster_is_whole() {
    [[ $(redis_cli "$1" cluster info) == *cluster_state:ok* ]] &&
        [[ $(redis_cli "$1" cluster nodes | grep -c slave) == 3 ]] &&
        redis_is_whole "$1"
}

# --- sentinels -----------------------------------------------------------------------------------------------------------

sentinel_start() {
    local instance=$1 home
    home=$(home_of "$instance")
    mkdir -p "$home"
    chmod 700 "$home"
    if [[ ! -f $home/sentinel.conf ]]; then
        cat >"$home/sentinel.conf" <<CONF
bind 127.0.0.1
port $(port_of "$instance")
dir $home
sentinel monitor $SENTINEL_SERVICE 127.0.0.1 $(port_of redis) 2
sentinel down-after-milliseconds $SENTINEL_SERVICE 2000
sentinel failover-timeout $SENTINEL_SERVICE 10000
CONF
    fi
    spawn "$instance" redis-server "$home/sentinel.conf" --sentinel
}

sentinel_is_ready() { redis_is_ready "$1"; }

# It knows the replica and both other sentinels: from now on it can fail over.
sentinel_is_whole() {
    local seen
    seen=$(redis_cli "$1" sentinel master "$SENTINEL_SERVICE" | paste -sd ' ')
    [[ $seen == *"num-slaves 1 num-other-sentinels 2 "* ]]
}
