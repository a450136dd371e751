#!/bin/bash
# Unpacks Debian's package fail2ban, without installing anything: its filters and the sample logs
# of its tests are what the conformance test (tests/fail2ban.rs) and the benches run on. They are
# GPL and no part of guard.
#
#     scripts/fail2ban.sh [SUITE] [DIR]        prints the folder
#
# SUITE is a release of Debian, bookworm by default (fail2ban 1.0.2); sid has the newest. DIR is
# fail2ban/SUITE in cargo's target folder by default, where the test finds it. What is there
# already is used as it is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

main() {
    local suite=${1:-bookworm}
    local dir=${2:-${CARGO_TARGET_DIR:-$ROOT/target}/fail2ban/$suite}
    if [ ! -d "$dir/etc/fail2ban/filter.d" ]; then
        have apt-get && have dpkg-deb || die "unpacking fail2ban needs apt-get and dpkg-deb"
        say "fail2ban: fetching that of Debian $suite"
        local work=$dir.new
        rm -rf "$work"
        mkdir -p "$work/tree"
        debian_download "$suite" "$work" fail2ban >&2
        dpkg-deb -x "$work"/fail2ban_*.deb "$work/tree"
        rm -rf "$dir"
        mv "$work/tree" "$dir"
        rm -rf "$work"
    fi
    echo "$dir"
}

main "$@"
