# shellcheck shell=bash
# The example stack, for the scripts that start, attack and stop it. To be sourced after lib.sh.

PROJECT=guard-example
GUARD_COMPOSE_EXTRA=${GUARD_COMPOSE_EXTRA:-} # further compose files, separated by colons

# example ARGUMENTS…: compose, for the example.
example() {
    local command extra files=(-f "$ROOT/docker-compose.example.yml")
    command=$(compose_command)
    if [ -n "$ADAPTED" ]; then files+=(-f "$ADAPTED"); fi
    for extra in ${GUARD_COMPOSE_EXTRA//:/ }; do files+=(-f "$extra"); done
    # shellcheck disable=SC2086
    $command -p "$PROJECT" --project-directory "$ROOT" "${files[@]}" "$@"
}

# The example says where Docker's socket and volumes lie on nearly every machine. Where they lie
# elsewhere, or where the volumes are on a mount that is not shared, a second file says so.
ADAPTED=""
adapt_to_this_engine() {
    local socket=/var/run/docker.sock root mode=ro,rslave
    case ${DOCKER_HOST:-} in unix://*) socket=${DOCKER_HOST#unix://} ;; esac
    root=$(docker info --format '{{.DockerRootDir}}')
    if ! is_shared "$root/volumes"; then mode=ro; fi
    if [ "$socket $root $mode" = "/var/run/docker.sock /var/lib/docker ro,rslave" ]; then return; fi
    ADAPTED=$(mktemp --suffix=.yml)
    trap forget_adaption EXIT
    cat >"$ADAPTED" <<EOT
services:
  guard:
    volumes:
      - $socket:/var/run/docker.sock:ro
      - $root/volumes:/var/lib/docker/volumes:$mode
EOT
}

forget_adaption() {
    if [ -n "$ADAPTED" ]; then rm -f "$ADAPTED"; fi
}

# Whether the mount that a folder lies on is shared, as rslave wants it. Mount points that are not
# to be seen from here are taken for shared, which is the rule.
is_shared() {
    case $(findmnt --noheadings --output PROPAGATION --target "$1" 2>/dev/null || echo shared) in
        *shared* | *slave*) return 0 ;;
        *) return 1 ;;
    esac
}

docker version >/dev/null 2>&1 || die "no answer from the Docker engine${DOCKER_HOST:+ at $DOCKER_HOST}"
adapt_to_this_engine
