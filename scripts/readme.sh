#!/bin/bash
# Writes the table of labels into the README, from the code.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

table=$(mktemp)
trap 'rm -f "$table"' EXIT
cargo run --quiet --locked --bin guardctl -- help labels >"$table"
sed -i -e '/^<!-- labels: generated/,/^<!-- end of labels/ { /^<!--/!d }' \
    -e "/^<!-- labels: generated/r $table" README.md
