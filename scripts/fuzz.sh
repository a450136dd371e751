#!/bin/bash
# Fuzzes the filter language, the labels and what comes by the sockets: each target of fuzz/ for so many seconds, one after
# the other. fuzz/README.md says what each one checks.
#
#     scripts/fuzz.sh [SECONDS [TARGET…]]          60 seconds, and all targets, unless told
#
# Seeds are made anew from guard's filters and their sample lines, into fuzz/corpus/, where what
# the fuzzer finds of interest is kept too. An input on which a target fails is kept in
# fuzz/artifacts/, and the script ends with an error after all targets had their turn.
#
#     GUARD_FUZZ_FILTERS   a folder with fail2ban's filters (filter.d), which `lines` is to try
#                          beside guard's own
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

TARGETS=(labels filter_files regex dates lines reference pickle requests)

# An input that takes longer, in seconds, is a failure.
TIMEOUT=${GUARD_FUZZ_TIMEOUT:-5}

# The longest input, in bytes.
LONGEST=4096

# The compiler is the stable one: it counts coverage for the fuzzer, but has no sanitizers, which
# would find nothing in safe Rust.
fuzz() {
    local command=$1
    shift
    nice cargo fuzz "$command" --sanitizer none "$@"
}

main() {
    local seconds=${1:-60} target failed=()
    if (($# > 0)); then shift; fi
    if (($# > 0)); then TARGETS=("$@"); fi
    have cargo-fuzz || { say "installing cargo-fuzz"; nice cargo install --locked --quiet cargo-fuzz; }
    have python3 || die "python3 is missing, which makes the seeds"
    python3 fuzz/seeds.py fuzz/corpus
    for target in "${TARGETS[@]}"; do
        fuzz build "$target"
    done
    for target in "${TARGETS[@]}"; do
        say "$target: $seconds s"
        fuzz run "$target" -- -max_total_time="$seconds" -timeout="$TIMEOUT" -max_len="$LONGEST" \
            -print_final_stats=1 -verbosity=0 2>&1 | grep -vE '^(#|"|stat::peak|INFO|WARNING: Failed to find)' || failed+=("$target")
    done
    if ((${#failed[@]} > 0)); then die "failed: ${failed[*]}; the inputs are in fuzz/artifacts/"; fi
    say "all targets held"
}

main "$@"
