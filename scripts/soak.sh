#!/bin/bash
# The soak: numbered lines in outputs and files of all kinds, and everything that can happen to
# streams, containers, the engine, the files and guard, at random, for so many seconds. Then every
# line must have been judged exactly once. tests/soak/main.rs says more. Ends with the line
#
#     written N, judged N, lost N, doubled N
#
# and with an error when anything was lost or doubled. Needs root and dockerd; nothing outside of
# namespaces of its own is touched.
#
#     scripts/soak.sh [SECONDS]          60, unless told; shared by the engines
#
#     GUARD_SOAK_SEED      the same things in the same order as in the run that printed it
#     GUARD_TEST_ENGINES   the engines to test with, as in scripts/test.sh; the dockerd in PATH
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

have cargo || die "cargo is missing: https://rustup.rs"
PATH=$PATH:/usr/sbin:/sbin
LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT

export GUARD_SOAK_SECONDS=${1:-60} GUARD_TEST_REQUIRE=root,docker
code=0
nice cargo test --locked --test soak -- --nocapture 2>&1 | tee "$LOG" || code=$?
grep '^written [0-9]*, judged ' "$LOG" || die "the soak did not come to its end"
exit "$code"
