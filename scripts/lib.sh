# shellcheck shell=bash disable=SC2034
# What the scripts share. To be sourced, from bash with `set -euo pipefail`.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export GUARD_CACHE=${GUARD_CACHE:-${HOME:-/root}/.cache/guard}

say()  { printf '==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die()  { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# The Debian mirrors that this machine uses itself, so that a local mirror is used where there is
# one. On anything but Debian: the public ones.
debian_mirror() {
    local found
    found=$(debian_uris | grep -v security | head -n 1)
    echo "${found:-http://deb.debian.org/debian}"
}

debian_security_mirror() {
    local found
    found=$(debian_uris | grep security | head -n 1)
    echo "${found:-http://deb.debian.org/debian-security}"
}

# From both formats: `URIs: …` of debian.sources, and `deb [options] URI suite …` of sources.list.
debian_uris() {
    local file
    if ! grep -qsx 'ID=debian' /etc/os-release; then return; fi
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        if [ -r "$file" ]; then
            awk '$1 == "URIs:" || $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; next } }' "$file"
        fi
    done
}

# `docker compose` where the plugin is there, else `docker-compose`.
compose_command() {
    if docker compose version >/dev/null 2>&1; then
        echo "docker compose"
    elif have docker-compose; then
        echo "docker-compose"
    else
        die "neither 'docker compose' nor 'docker-compose' is installed"
    fi
}

# wait_for SECONDS COMMAND…: tries the command until it succeeds; false when the time is over.
wait_for() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= until)); then return 1; fi
        sleep 0.2
    done
}
