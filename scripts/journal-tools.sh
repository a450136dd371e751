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
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# A folder that apt takes for a machine of its own: with this suite, and nothing installed.
fetch() { # SUITE DIR
    local suite=$1 apt=$2/apt options
    mkdir -p "$apt"/etc/apt/{preferences.d,trusted.gpg.d} "$apt"/var/lib/apt/lists/partial \
        "$apt"/var/cache/apt/archives/partial "$apt"/var/lib/dpkg
    : >"$apt/var/lib/dpkg/status"
    echo "deb [signed-by=$KEYRING] $(debian_mirror) $suite main" >"$apt/etc/apt/sources.list"
    options=(-qq -o "Dir=$apt" -o "Dir::State::status=$apt/var/lib/dpkg/status"
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    (cd "$2" && apt-get "${options[@]}" download "${PACKAGES[@]}")
}

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
        fetch "$suite" "$work" >&2
        for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
        rm -rf "$work"/*.deb "$work/apt" "$work/tree/usr/share"
        mv "$work" "$dir"
    fi
    echo "$dir/tree"
}

main "$@"
