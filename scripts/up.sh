#!/bin/bash
# Builds and starts the example (docker-compose.example.yml), waits until it is healthy, and says
# what to try next. Works with `docker compose` and with `docker-compose`, on the engine that
# DOCKER_HOST names.
#
#     scripts/up.sh [--build-only | --no-build]
#
# Names everywhere: project guard-example, container guard.
#
#     GUARD_COMPOSE_EXTRA   further compose files, separated by colons, laid over the example
#     GUARD_UP_TIMEOUT      seconds until all must be healthy (90)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/example.sh"

MODE=${1:-}

build() {
    "$ROOT/scripts/base-images.sh"
    say "building guard and the login service (some minutes the first time)"
    DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-$(buildkit)} example build
}

# BuildKit needs the buildx plugin; without it, the client falls back to the legacy builder.
buildkit() {
    if docker buildx version >/dev/null 2>&1; then echo 1; else echo 0; fi
}

health() { docker inspect --format '{{.State.Health.Status}}' "$1" 2>/dev/null; }

healthy() {
    local container
    for container in $(example ps -q); do
        [ "$(health "$container")" = healthy ] || return 1
    done
}

start() {
    say "starting"
    example up -d --no-build --remove-orphans
    say "waiting until all is healthy"
    if ! wait_for "${GUARD_UP_TIMEOUT:-90}" healthy; then
        example ps
        docker logs --tail 40 guard 2>&1 || true
        die "not healthy in time; above: the containers, and the last words of guard"
    fi
}

farewell() {
    docker exec guard guardctl status
    cat <<EOT

guard protects two login pages, http://localhost:8080 and http://localhost:8081. Try:

  make demo                                  attack one of them, and see the ban happen
  docker exec guard guardctl status flask    who failed, who is banned
  docker exec guard guardctl watch           what happens, as it happens
  docker logs -f guard                       what guard says
  make down                                  stop and remove all of it

Logins from this machine itself are never banned. From another one, five wrong passwords do it:
  docker exec guard guardctl unban ADDRESS   lets it in again
EOT
}

case $MODE in
    "" | --build-only | --no-build) ;;
    *) die "usage: up.sh [--build-only | --no-build]" ;;
esac
if [ "$MODE" != --no-build ]; then build; fi
if [ "$MODE" != --build-only ]; then
    start
    farewell
fi
