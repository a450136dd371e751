#!/bin/bash
# What the dependencies bring in: licences, banned crates, sources (deny.toml), known
# vulnerabilities where the database can be reached, and dependencies that nothing uses.
#
# cargo-deny and cargo-machete are installed from crates.io where they are missing, which takes
# some minutes the first time.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

FAILED=0
run() { say "$*"; "$@" || FAILED=1; }

for tool in cargo-deny cargo-machete; do
    if ! have "$tool"; then
        say "installing $tool"
        nice cargo install --locked --quiet "$tool"
    fi
done

run cargo deny --locked check --hide-inclusion-graph licenses bans sources

# Not an error where there is no way to it: the rest of the audit holds all the same.
say "fetching the advisory database"
if cargo deny --locked fetch db; then
    run cargo deny --locked check --hide-inclusion-graph --disable-fetch advisories
else
    say "the advisory database cannot be reached from here: advisories were NOT checked"
fi

run cargo machete
exit $FAILED
