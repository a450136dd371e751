#!/bin/bash
# What guard's bans cost, beside others' ways to ban: loading many, adding one, every packet's way
# (benches/firewall.rs), then real attackers on real engines: from the line to the refused packet,
# 200 attackers in one write, memory with 100,000 bans (benches/endtoend.rs). Needs root and, for
# the second part, dockerd; nothing outside of namespaces of its own is touched.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

have cargo || die "cargo is missing: https://rustup.rs"
[ "$(id -u)" = 0 ] || die "this needs root, for network namespaces"
PATH=$PATH:/usr/sbin:/sbin
cargo bench --locked --bench firewall
cargo bench --locked --bench endtoend -- bans burst memory
