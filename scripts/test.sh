#!/bin/bash
# Everything that must hold: the format, the lints, and all tests. Ends with the line
#
#     N passed, N failed, N skipped
#
# and with an error when anything failed.
#
#     scripts/test.sh [ARGUMENTS of cargo test…]
#
# fail2ban's filters and sample logs, for the test of conformance, are fetched from Debian into
# cargo's target folder.
#
# Three kinds of tests run side by side: those that need nothing, those that need root (each in a
# network namespace of its own), and those that need Docker (each starts an engine of its own in a
# namespace of its own; the machine's engine and firewall are never touched). Where root or Docker
# is missing, a test prints a line `SKIPPED <name>: <reason>` and is counted as skipped; what
# GUARD_TEST_REQUIRE names (a list with commas: root,docker,fail2ban,journal,podman,mail,prometheus) fails instead.
#
# What the tests are told by the environment, and what they do without it:
#
#     GUARD_CACHE          a folder that outlives the run; ~/.cache/guard
#     GUARD_TEST_JOURNAL   the folder of systemd's programs; what scripts/journal-tools.sh unpacked
#     GUARD_TEST_PROMETHEUS   the folder of promtool and prometheus; what scripts/prometheus-tools.sh unpacked
#     GUARD_TEST_ENGINES   the Docker engines to test with: `NAME=FOLDER`, separated by commas; the
#                          folder has dockerd, what dockerd starts is there, or in ../bin, or in
#                          PATH. For example
#                              machine=/usr/sbin,sid=/home/me/.cache/guard/engines/sid/usr/sbin
#                          Set before: used as it is. Without it: the dockerd in PATH.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

BEGUN=$SECONDS
LOG=$(mktemp)
PREPARATION=()
PATH=$PATH:/usr/sbin:/sbin
trap 'rm -f "$LOG" "$LOG".*' EXIT

# Engines and base images are fetched and made while cargo compiles. Where a registry answers, the
# test of the shipped Dockerfile pulls the images itself.
prepare() {
    "$ROOT/scripts/install-tools.sh"
    if have apt-get; then
        "$ROOT/scripts/fail2ban.sh" >/dev/null &
        PREPARATION+=($!)
        if [ -z "${GUARD_TEST_PROMETHEUS:-}" ]; then
            "$ROOT/scripts/prometheus-tools.sh" >/dev/null &
            PREPARATION+=($!)
        fi
    fi
    if [ "$(id -u)" = 0 ] && have apt-get; then
        newer_engine >"$LOG.engine" &
        PREPARATION+=($!)
        if [ -z "${GUARD_TEST_JOURNAL:-}" ]; then
            "$ROOT/scripts/journal-tools.sh" >/dev/null &
            PREPARATION+=($!)
        fi
        if ! registry_answers; then
            nice "$ROOT/scripts/base-images.sh" --tars &
            PREPARATION+=($!)
        fi
    fi
}

registry_answers() { timeout 10 docker manifest inspect debian:bookworm-slim >/dev/null 2>&1; }

# Debian's newest Docker. That suite moves on: should its Docker not run here, the one of the
# stable release after this one does.
newer_engine() {
    local suite folder
    for suite in sid trixie; do
        if folder=$("$ROOT/scripts/engine.sh" "$suite"); then
            echo "$suite=$folder"
            return
        fi
    done
    return 1
}

# What could not be prepared is not there: its tests say so, or fail where it is required.
await_preparation() {
    local job
    for job in "${PREPARATION[@]}"; do
        wait "$job" || say "part of the preparation failed; the tests that need it will say so"
    done
    if [ -z "${GUARD_TEST_ENGINES+set}" ]; then
        local engines=()
        if have dockerd; then engines+=("machine=$(dirname "$(command -v dockerd)")"); fi
        if [ -s "$LOG.engine" ]; then engines+=("$(cat "$LOG.engine")"); fi
        GUARD_TEST_ENGINES=$(IFS=, && echo "${engines[*]}")
        export GUARD_TEST_ENGINES
    fi
    note "engines: ${GUARD_TEST_ENGINES:-none}"
}

FAILED=()
check() { # NAME COMMAND…
    local name=$1 begun=$SECONDS
    shift
    say "$name"
    if "$@"; then
        note "$name: $((SECONDS - begun)) s"
    else
        FAILED+=("$name")
        say "$name: FAILED"
    fi
}

# --show-output brings out what passed tests printed: the lines that say what was skipped. The two
# further lists of everything that passed, which come with it, are left out.
run_tests() {
    cargo test --locked --no-fail-fast "$@" -- --show-output 2>&1 | sed -u '/^successes:$/,/^$/d' | tee "$LOG"
}

count() { # passed | failed | ignored: the sum over all test programs
    awk -v what="$1" '
        /^test result: / { for (i = 2; i <= NF; i++) if ($i ~ "^" what) sum += $(i - 1) }
        END { print sum + 0 }' "$LOG"
}

# A test that panics in its preparation, or a program that does not compile, has no result line.
summary() {
    local passed failed skipped ignored
    passed=$(count passed) failed=$(count failed) ignored=$(count ignored)
    skipped=$(grep -cE '(^|\.\.\. )SKIPPED ' "$LOG" || true)
    if ((skipped > 0)); then
        say "skipped:"
        grep -oE '(^|\.\.\. )SKIPPED .*' "$LOG" | sed 's/^\.\.\. //; s/^/    /' >&2
    fi
    if ((${#FAILED[@]} > 0)); then
        say "FAILED: $(printf '%s; ' "${FAILED[@]}" | sed 's/; $//')"
        if ((failed == 0)); then failed=${#FAILED[@]}; fi
    fi
    note "$((SECONDS - BEGUN)) s in all"
    echo "$((passed - skipped)) passed, $failed failed, $((skipped + ignored)) skipped"
    ((failed == 0))
}

have cargo || die "cargo is missing: https://rustup.rs"
prepare
check "format" cargo fmt --all --check
check "lints" cargo clippy --locked --all-targets -- -D warnings
# The fuzz targets are a workspace of their own. A check links nothing, so the fuzzer's C++ need not be built.
check "fuzz targets" env CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$ROOT/target}" \
    cargo check --locked --manifest-path fuzz/Cargo.toml
check "build" cargo test --locked --no-run
await_preparation
check "tests" run_tests "$@"
summary
