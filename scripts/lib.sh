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

# debian_download SUITE DIR PACKAGE…: the packages of a release of Debian, into DIR. apt takes the
# folder for a machine of its own: with this suite, and nothing installed.
debian_download() {
    local suite=$1 dir=$2 apt=$2/apt keyring=/usr/share/keyrings/debian-archive-keyring.gpg options
    shift 2
    mkdir -p "$apt"/etc/apt/{preferences.d,trusted.gpg.d} "$apt"/var/lib/apt/lists/partial \
        "$apt"/var/cache/apt/archives/partial "$apt"/var/lib/dpkg
    : >"$apt/var/lib/dpkg/status"
    echo "deb [signed-by=$keyring] $(debian_mirror) $suite main" >"$apt/etc/apt/sources.list"
    options=(-qq -o "Dir=$apt" -o "Dir::State::status=$apt/var/lib/dpkg/status"
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    local package found=()
    for package in "$@"; do
        # `a|b`: the first of them that the suite has.
        local choice
        for choice in ${package//|/ }; do
            if apt-cache "${options[@]}" show "$choice" >/dev/null 2>&1; then
                found+=("$choice")
                break
            fi
        done
    done
    (cd "$dir" && apt-get "${options[@]}" download "${found[@]}")
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
