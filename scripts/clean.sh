#!/bin/bash
# Removes what was built here: cargo's target folder, the images of the example, the cache.
# The base images stay: other projects may use them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

(cd "$ROOT" && cargo clean)
rm -rf "$ROOT/dist"
if docker version >/dev/null 2>&1; then
    docker image rm "guard:$("$ROOT/scripts/version.sh")" guard-example-flask >/dev/null 2>&1 || true
fi
rm -rf "$GUARD_CACHE"
