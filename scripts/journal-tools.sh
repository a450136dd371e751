#!/bin/bash
# Unpacks systemd's journal programs from Debian packages into cargo's target folder, without
# installing anything: systemd-journald and journalctl, with which tests/journal makes journals
# and against which it compares.
#
#     scripts/journal-tools.sh [SUITE]     prints the folder, for GUARD_TEST_JOURNAL
#
# SUITE is a release of Debian; bookworm-backports (systemd 254) by default, which runs on any
# glibc since 2.36 and writes every form of file. What is there already is used as it is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

PACKAGES=(systemd libsystemd-shared libsystemd0)

main() {
    local suite=${1:-bookworm-backports} target dir work package
    target=${CARGO_TARGET_DIR:-$ROOT/target}
    dir=$target/journal-tools/$suite
    mkdir -p "$(dirname "$dir")"
    exec 9>"$dir.lock"
    flock 9
    if [ ! -x "$dir/tree/lib/systemd/systemd-journald" ] && [ ! -x "$dir/tree/usr/lib/systemd/systemd-journald" ]; then
        if ! have apt-get || ! have dpkg-deb; then die "unpacking systemd needs apt-get and dpkg-deb"; fi
        say "journal-tools: fetching systemd of Debian $suite"
        work=$dir.new
        rm -rf "$work" "$dir"
        mkdir -p "$work/tree"
        debian_download "$suite" "$work" "${PACKAGES[@]}" >&2
        for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
        rm -rf "$work"/*.deb "$work/apt" "$work/tree/usr/share"
        mv "$work" "$dir"
    fi
    echo "$dir/tree"
}

main "$@"
