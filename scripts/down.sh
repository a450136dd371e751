#!/bin/bash
# Stops the example and removes its containers, its network and its volumes.
#
# The example lets the bans stand when guard stops (GUARD_ON_STOP: keep). So guard is started once
# more with `remove`: then its stop takes its rules out of the firewall.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/example.sh"

remove=$(mktemp --suffix=.yml)
trap 'rm -f "$remove"; forget_adaption' EXIT
cat >"$remove" <<EOT
services:
  guard:
    environment:
      GUARD_ON_STOP: remove
EOT

healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' guard 2>/dev/null)" = healthy ]; }

if [ "$(docker inspect --format '{{.State.Running}}' guard 2>/dev/null)" = true ]; then
    say "taking guard's rules out of the firewall"
    GUARD_COMPOSE_EXTRA=$GUARD_COMPOSE_EXTRA:$remove example up -d --no-deps --no-build guard
    wait_for 30 healthy || note "guard does not get healthy; rules of it may be left in the firewall"
fi
say "stopping and removing"
example down --volumes --remove-orphans
# Docker made it for the example's bind mount.
rmdir "$ROOT/logs" 2>/dev/null || true
