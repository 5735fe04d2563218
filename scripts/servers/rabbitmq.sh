# shellcheck shell=bash
# RabbitMQ: one node or three, with node names, an epmd and an Erlang cookie of their own. User guest, password guest.

RABBITMQ_PROGRAM=/usr/lib/rabbitmq/bin/rabbitmq-server

# The name server of the nodes comes first: they are told not to start one that would outlive them.
rabbitmq_instances() {
    printf '%s\n' epmd rabbitmq
    if [[ $CLUSTER == yes ]]; then printf '%s\n' rabbitmq-2 rabbitmq-3; fi
}

rabbitmq_url() { echo "amqp://guest:guest@127.0.0.1:$(port_of "$1")/%2f"; }

rabbitmq_management_url() { echo "http://127.0.0.1:$(($(port_of "$1") + 10))"; }

rabbitmq_urls() {
    say "RABBITMQ_URL=$(rabbitmq_url rabbitmq)"
    say "RABBITMQ_MANAGEMENT_URL=$(rabbitmq_management_url rabbitmq)"
    if [[ $CLUSTER == yes ]]; then
        say "RABBITMQ_URLS=$(rabbitmq_url rabbitmq),$(rabbitmq_url rabbitmq-2),$(rabbitmq_url rabbitmq-3)"
        say "RABBITMQ_MANAGEMENT_URLS=$(rabbitmq_management_url rabbitmq),$(rabbitmq_management_url rabbitmq-2),$(rabbitmq_management_url rabbitmq-3)"
    fi
}

rabbitmq_environment() {
    if [[ $CLUSTER == yes ]]; then
        say "export SLUICE_RABBITMQ__URLS='[\"$(rabbitmq_url rabbitmq)\", \"$(rabbitmq_url rabbitmq-2)\", \"$(rabbitmq_url rabbitmq-3)\"]'"
    else
        say "export SLUICE_RABBITMQ__URLS='[\"$(rabbitmq_url rabbitmq)\"]'"
    fi
}

epmd_start() {
    mkdir -p "$(home_of epmd)"
    spawn epmd epmd -port "$(port_of epmd)" -address 127.0.0.1
    await "$START_SECONDS" epmd epmd_is_ready
}

epmd_is_ready() { is_taken "$(port_of epmd)"; }
epmd_is_whole() { epmd_is_ready; }

rabbitmq_node() { echo "sluice-${1//-/}@localhost"; }

rabbitmq_start() {
    local instance=$1 home port
    home=$(home_of "$instance") port=$(port_of "$instance")
    mkdir -p "$home/data" "$home/generated"
    chmod 700 "$home"
    if [[ ! -f $home/.erlang.cookie ]]; then
        (umask 077 && echo sluice-services >"$home/.erlang.cookie")
        chmod 400 "$home/.erlang.cookie"
    fi
    echo "[rabbitmq_management]." >"$home/plugins"
    cat >"$home/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$port
management.tcp.ip = 127.0.0.1
management.tcp.port = $((port + 10))
log.console = true
log.console.level = warning
log.file = false
$(rabbitmq_peers)
CONF
    # RABBITMQ_ALLOW_INPUT makes the script become the server instead of waiting for it: its process id is the server's.
    spawn "$instance" env -u NOTIFY_SOCKET \
        HOME="$home" ERL_EPMD_PORT="$(port_of epmd)" ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_NODENAME="$(rabbitmq_node "$instance")" RABBITMQ_DIST_PORT=$((port + 13)) \
        RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE="$home/none" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$home/none.config" RABBITMQ_GENERATED_CONFIG_DIR="$home/generated" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$home/plugins" RABBITMQ_PID_FILE="$home/node.pid" \
        RABBITMQ_MNESIA_BASE="$home/data" RABBITMQ_LOG_BASE="$home" RABBITMQ_LOGS=- \
        RABBITMQ_ALLOW_INPUT=1 \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-noinput -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}" \
        "$RABBITMQ_PROGRAM"
}

# Nodes that start empty find each other.
rabbitmq_peers() {
    local n=0 instance
    [[ $CLUSTER == yes ]] || return 0
    echo "cluster_formation.peer_discovery_backend = classic_config"
    for instance in rabbitmq rabbitmq-2 rabbitmq-3; do
        n=$((n + 1))
        echo "cluster_formation.classic_config.nodes.$n = $(rabbitmq_node "$instance")"
    done
}

# The listener is open, and the management plugin answers.
rabbitmq_is_ready() { is_taken "$(port_of "$1")" && (($(rabbitmq_running_nodes "$1") >= 1)); }

rabbitmq_is_whole() {
    local wanted=1
    if [[ $CLUSTER == yes ]]; then wanted=3; fi
    (($(rabbitmq_running_nodes "$1") == wanted))
}

rabbitmq_running_nodes() {
    curl -sf --max-time 5 -u guest:guest "$(rabbitmq_management_url "$1")/api/nodes?columns=name,running" |
        grep -o '"running":true' | wc -l
}
