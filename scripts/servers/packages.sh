# shellcheck shell=bash
# Debian packages: installed when missing, without their system services.

# package_of NAME, and the program that shows it is there.
package_of() {
    case $1 in
        redis | redis-cluster) echo redis-server ;;
        rabbitmq) echo rabbitmq-server ;;
        postgres) echo postgresql ;;
        smtp) echo python3-aiosmtpd ;;
        openssl) echo openssl ;;
        curl) echo curl ;;
    esac
}

is_installed() {
    case $1 in
        redis | redis-cluster) command -v redis-server && command -v redis-cli ;;
        rabbitmq) [[ -x $RABBITMQ_PROGRAM ]] && command -v epmd ;;
        postgres) [[ -n $(postgres_programs) ]] ;;
        smtp) "$SMTP_PYTHON" -c "import aiosmtpd" 2>&1 ;;
        openssl) command -v openssl ;;
        curl) command -v curl ;;
    esac >/dev/null
}

missing_packages() {
    local name
    for name in "$@" curl $([[ " $* " == *" smtp "* ]] && echo openssl); do
        if ! is_installed "$name"; then package_of "$name"; fi
    done | sort -u
}

need_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} > 0)) || return 0
    if ((UID != 0)) || ! command -v apt-get >/dev/null; then
        give_up "missing: ${missing[*]}; on Debian: apt-get install -y ${missing[*]}"
    fi
    # One at a time: tests start several of us at once, and the second comer finds everything there.
    (
        flock 9
        mapfile -t missing < <(missing_packages "$@")
        ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
    ) 9>"${TMPDIR:-/tmp}/sluice-services-packages.lock" >&2
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} == 0)) || give_up "could not install: ${missing[*]}"
}

# While packages are installed, no service may be started; afterwards none of the new ones is left enabled.
install_packages() {
    local policy=/usr/sbin/policy-rc.d package
    complain "installing ${*}"
    if [[ ! -e $policy ]]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    local install=(apt-get install -y -qq --no-install-recommends -o "DPkg::Lock::Timeout=300" "$@")
    "${install[@]}" || { apt-get update -qq && "${install[@]}"; }
    if command -v systemctl >/dev/null; then
        for package in "$@"; do
            [[ $package == curl ]] || systemctl disable "$package" || true
        done
    fi
}
