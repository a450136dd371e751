#!/bin/bash
# Writes the table of labels into the README, transcripts into docs/guardctl.md, and the table of
# metrics into docs/metrics.md, from the code.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

table=$(mktemp)
trap 'rm -f "$table"' EXIT
cargo run --quiet --locked --bin guardctl -- help labels >"$table"
sed -i -e '/^<!-- labels: generated/,/^<!-- end of labels/ { /^<!--/!d }' \
    -e "/^<!-- labels: generated/r $table" README.md

# What guardctl prints, into docs/guardctl.md.
GUARD_WRITE_TRANSCRIPTS=1 cargo test --quiet --locked --test operator transcripts

# What can be measured, into docs/metrics.md.
GUARD_WRITE_TRANSCRIPTS=1 cargo test --quiet --locked --test metrics documentation
