#!/bin/bash
# Unpacks Prometheus and promtool from Debian's package into cargo's target folder, without
# installing anything: with them the tests check guard's metrics, the alerts and the dashboard.
#
#     scripts/prometheus-tools.sh [SUITE]     prints the folder, for GUARD_TEST_PROMETHEUS
#
# SUITE is a release of Debian, bookworm by default (Prometheus 2.42), whose programs run on any
# glibc since 2.36. What is there already is used as it is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

main() {
    local suite=${1:-bookworm} dir work
    dir=${CARGO_TARGET_DIR:-$ROOT/target}/prometheus-tools/$suite
    mkdir -p "$(dirname "$dir")"
    exec 9>"$dir.lock"
    flock 9
    if [ ! -x "$dir/promtool" ]; then
        if ! have apt-get || ! have dpkg-deb; then die "unpacking Prometheus needs apt-get and dpkg-deb"; fi
        say "prometheus-tools: fetching Prometheus of Debian $suite"
        work=$dir.new
        rm -rf "$work" "$dir"
        mkdir -p "$work/tree"
        debian_download "$suite" "$work" prometheus >&2
        dpkg-deb -x "$work"/prometheus_*.deb "$work/tree"
        mkdir "$dir"
        # Its pages are of no use here.
        mv "$work/tree/usr/bin/prometheus" "$work/tree/usr/bin/promtool" "$dir/"
        rm -rf "$work"
    fi
    echo "$dir"
}

main "$@"
