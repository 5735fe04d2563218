# shellcheck shell=bash
# Ports. Each instance has a fixed place in a block of forty; `run` takes a free block, `start` always the same one.

BLOCK=40

offset_of() {
    case $1 in
        redis) echo 0 ;;
        redis-replica) echo 1 ;;
        sentinel-*) echo $((1 + ${1##*-})) ;;        # 2 to 4
        redis-cluster-*) echo $((4 + ${1##*-})) ;;   # 5 to 10, their bus six higher
        postgres) echo 17 ;;
        rabbitmq) echo 20 ;;                         # management ten higher, distribution thirteen higher
        rabbitmq-*) echo $((19 + ${1##*-})) ;;       # 21, 22
        epmd) echo 36 ;;
        smtp) echo 37 ;;                             # under TLS one higher, STARTTLS two higher
    esac
}

port_of() { echo $((PORT_BASE + $(offset_of "$1"))); }

# Every port an instance listens on.
ports_of() {
    local port
    port=$(port_of "$1")
    case $1 in
        redis-cluster-*) echo "$port $((port + 6))" ;;
        rabbitmq*) echo "$port $((port + 10)) $((port + 13))" ;;
        smtp) echo "$port $((port + 1)) $((port + 2))" ;;
        *) echo "$port" ;;
    esac
}

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

all_free() {
    local instance port
    for instance in "$@"; do
        for port in $(ports_of "$instance"); do
            if is_taken "$port"; then return 1; fi
        done
    done
}

# A block below the range that the kernel gives to outgoing connections. Who holds the block's lock owns it; a lock goes with its
# owner, however that ends. Sets PORT_BASE and PORTS_LOCK.
take_free_ports() {
    local locks=${TMPDIR:-/tmp}/sluice-services-ports-$UID block=300 first tries
    mkdir -p "$locks"
    first=$((RANDOM % block))
    for ((tries = 0; tries < block; tries++)); do
        local candidate=$(((first + tries) % block))
        exec {PORTS_LOCK}>"$locks/$candidate"
        PORT_BASE=$((20000 + candidate * BLOCK))
        if flock --nonblock "$PORTS_LOCK" && all_free "$@"; then return; fi
        exec {PORTS_LOCK}>&-
    done
    give_up "no free ports between 20000 and 32000"
}

use_fixed_ports() {
    PORTS_LOCK=
    PORT_BASE=${SLUICE_SERVICES_PORT:-17370}
}

# For what is about to be started on fixed ports.
need_free_ports() {
    local instance port
    for instance in "$@"; do
        if is_alive "$instance"; then continue; fi
        for port in $(ports_of "$instance"); do
            if is_taken "$port"; then
                give_up "port $port, for $instance, is taken by somebody else; set SLUICE_SERVICES_PORT to the first of 40 free ones"
            fi
        done
    done
}
