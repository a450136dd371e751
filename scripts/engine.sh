#!/bin/bash
# Unpacks a newer Docker engine from Debian packages into a folder, without installing anything:
# dockerd and what it starts, the client, and the compose (v2) and buildx plugins.
#
#     scripts/engine.sh SUITE [DIR]        prints the folder of dockerd, to be put in PATH
#
# SUITE is a release of Debian: trixie (Docker 26.1), sid (28.x at the time of writing), or
# any other that the mirror has. DIR is $GUARD_CACHE/engines/SUITE by default; the plugins are in
# DIR/usr/libexec/docker/cli-plugins. What is there already is used as it is; --fresh fetches anew.
#
# Debian's Docker runs on any glibc since 2.34. runc is the machine's own (package runc, which
# comes with docker.io): those of newer suites want a newer glibc.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# docker-init for `--init` is in tini-static; in older suites it is a part of tini.
PACKAGES=(docker.io docker-cli containerd docker-compose docker-buildx 'tini-static|tini')

main() {
    local suite="" dir="" fresh=no argument
    for argument in "$@"; do
        case $argument in
            --fresh) fresh=yes ;;
            -*) die "usage: engine.sh [--fresh] SUITE [DIR]" ;;
            *) if [ -z "$suite" ]; then suite=$argument; else dir=$argument; fi ;;
        esac
    done
    [ -n "$suite" ] || die "usage: engine.sh [--fresh] SUITE [DIR]"
    dir=${dir:-$GUARD_CACHE/engines/$suite}
    mkdir -p "$(dirname "$dir")"

    exec 9>"$dir.lock"
    flock 9
    if [ $fresh = yes ]; then rm -rf "$dir"; fi
    if [ ! -x "$dir/usr/sbin/dockerd" ]; then
        if ! have apt-get || ! have dpkg-deb; then die "unpacking an engine needs apt-get and dpkg-deb"; fi
        say "engine: fetching Docker of Debian $suite"
        local work=$dir.new package
        rm -rf "$work"
        mkdir -p "$work/tree"
        debian_download "$suite" "$work" "${PACKAGES[@]}" >&2
        for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
        # All of it in one folder, as the older suites have it.
        mkdir -p "$work/tree/usr/bin" "$work/tree/usr/sbin"
        rm -rf "$work/tree/usr/share" "$dir"
        "$work/tree/usr/sbin/dockerd" --version >&2 || die "Docker of Debian $suite does not run here"
        mv "$work/tree" "$dir"
        rm -rf "$work"
    fi
    echo "$dir/usr/sbin"
}

main "$@"
