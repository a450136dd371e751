#!/bin/bash
# Chaos: while bans come and go, guard's rules, chains and sets are flushed, deleted, reordered and
# destroyed at random, for each backend and kind of iptables; real packets from a banned machine
# measure the holes. Ends with the line
#
#     wanted state held: yes|no, longest hole N ms, repairs N, foreign rules changed N
#
# taken together over all of them, and with an error unless it held. Needs root; everything happens
# in network namespaces of its own. Legacy tables tell nobody of changes: there a hole can last for
# the 10 seconds between two checks.
#
#     scripts/chaos.sh [SECONDS for each, 60]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
[ "$(id -u)" = 0 ] || die "chaos needs root, for network namespaces"

# One after the other: a busy machine makes holes of its own.
GUARD_CHAOS_SECONDS=${1:-60} GUARD_TEST_REQUIRE=root cargo test --locked --test chaos -- \
    --show-output --test-threads=1 2>&1 | sed -u '/^successes:$/,/^$/d' | tee "$LOG" || true

awk '
    / wanted state held: / {
        runs++
        split($0, part, /held: |, longest hole | ms, repairs |, foreign rules changed /)
        if (part[2] != "yes") held = "no"
        if (part[3] + 0 > longest) longest = part[3] + 0
        repairs += part[4]
        changed += part[5]
    }
    /^test result: FAILED|^error/ { held = "no" }
    END {
        if (!runs) held = "no"
        if (!held) held = "yes"
        printf "wanted state held: %s, longest hole %d ms, repairs %d, foreign rules changed %d\n",
            held, longest, repairs, changed
        exit held != "yes"
    }' "$LOG"
