#!/bin/bash
# The shipped Dockerfile and the shipped example, from the build to the ban and back, on an engine
# and in a network of their own: the machine's Docker and its firewall are not touched.
#
#     scripts/example-test.sh [FOLDER]
#
# FOLDER has the dockerd to test with (as scripts/engine.sh prints it; default: that of sid). Runs
# up.sh, demo.sh for both services and down.sh, and looks at the firewall afterwards. Needs root.
#
# The images are built by this engine in the network of the machine, where the package mirrors are;
# then it is started again in a network namespace, with the same data. That stays in $GUARD_CACHE/example-engine: the next build has its layers.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || die "an engine of its own needs root"
FOLDER=${1:-$("$ROOT/scripts/engine.sh" sid)}
[ -x "$FOLDER/dockerd" ] || die "no dockerd in $FOLDER"

VERSION=$("$FOLDER/dockerd" --version | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
DATA=$GUARD_CACHE/example-engine/$VERSION
NETNS=guard-example-$$
BRIDGE=gbuild$$
RUN=$(mktemp -d --tmpdir guard-example.XXXXXX) # short: the path of a socket has 108 bytes
export PATH=$FOLDER:$FOLDER/../bin:$PATH:/usr/sbin:/sbin
export DOCKER_HOST=unix://$RUN/docker.sock
unset DOCKER_CERT_PATH DOCKER_TLS_VERIFY DOCKER_CONTEXT

# The plugins that came with the engine.
plugins=$FOLDER/../libexec/docker/cli-plugins
if [ -d "$plugins" ]; then
    export DOCKER_CONFIG=$RUN/config
    mkdir -p "$DOCKER_CONFIG"
    ln -s "$(readlink -f "$plugins")" "$DOCKER_CONFIG/cli-plugins"
fi

start_engine() { # NETNS or "", OPTIONS…
    local prefix=()
    if [ -n "$1" ]; then prefix=(nsenter "--net=/run/netns/$1"); fi
    shift
    echo '{}' >"$RUN/daemon.json"
    # What it knows of networks is of the other namespace: it would look for them here.
    rm -rf "$DATA/network"
    # 9>&-: the lock is this script's, not the engine's.
    setsid "${prefix[@]}" dockerd --config-file "$RUN/daemon.json" --data-root "$DATA" --exec-root "$RUN/exec" \
        --pidfile "$RUN/pid" -H "$DOCKER_HOST" "$@" >>"$RUN/log" 2>&1 </dev/null 9>&- &
    wait_for 60 docker version || { tail -n 20 "$RUN/log" >&2; die "dockerd does not start"; }
}

stop_engine() {
    local pid
    pid=$(cat "$RUN/pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    wait_for 60 process_gone "$pid" || kill -9 "$pid"
}

process_gone() { ! kill -0 "$1" 2>/dev/null; }

cleanup() {
    local containers mount
    containers=$(docker ps -aq 2>/dev/null || true)
    # shellcheck disable=SC2086
    if [ -n "$containers" ]; then docker rm -f -v $containers >/dev/null 2>&1 || true; fi
    stop_engine
    ip netns del "$NETNS" 2>/dev/null || true
    ip link del "$BRIDGE" 2>/dev/null || true
    while read -r mount; do umount -l "$mount" 2>/dev/null || true; done < <(
        awk -v a="$RUN/" -v b="$DATA/" 'index($2, a) == 1 || index($2, b) == 1 { print $2 }' /proc/mounts | sort -r)
    rm -rf "$RUN"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# One at a time: the data of an engine is for one engine.
mkdir -p "$DATA"
exec 9>"$DATA.lock"
flock 9

say "building, on Docker $VERSION of $FOLDER"
# On a bridge of its own that leads nowhere, and without rules. Not --bridge=none: with that,
# dockerd removes docker0, which is the machine's engine's.
ip link add "$BRIDGE" type bridge
ip addr add 10.98.255.253/30 dev "$BRIDGE"
ip link set "$BRIDGE" up
start_engine "" "--bridge=$BRIDGE" --iptables=false --ip6tables=false --ip-forward=false
cat >"$RUN/build.yml" <<'EOT'
services:
  guard:
    build:
      network: host
      # Not optimised, which takes a quarter of the time.
      args:
        CARGO_PROFILE_RELEASE_LTO: "off"
        CARGO_PROFILE_RELEASE_OPT_LEVEL: "0"
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "256"
  flask: { build: { network: host } }
  flask-file: { build: { network: host } }
EOT
GUARD_COMPOSE_EXTRA=$RUN/build.yml "$ROOT/scripts/up.sh" --build-only
# Not the newest: for the legacy builder they are the cache.
docker image prune --force --filter until=24h >/dev/null
docker builder prune --force --keep-storage 6GB >/dev/null 2>&1 || true
docker image ls --format '    {{.Repository}}:{{.Tag}} {{.Size}}' >&2
stop_engine
ip link del "$BRIDGE"

say "running it in a network of its own"
ip netns add "$NETNS"
ip -n "$NETNS" link set lo up
start_engine "$NETNS"
export GUARD_HOST_NETNS=$NETNS
"$ROOT/scripts/up.sh" --no-build
"$ROOT/scripts/demo.sh" flask
"$ROOT/scripts/demo.sh" flask-file
"$ROOT/scripts/down.sh"

say "looking for what was left behind"
left=$(ip netns exec "$NETNS" iptables -S | grep -- f2b- || true)
left+=$(ip netns exec "$NETNS" ip6tables -S | grep -- f2b- || true)
left+=$(ip netns exec "$NETNS" ipset list -n | grep -- f2b || true)
[ -z "$left" ] || die "rules of guard are left in the firewall: $left"
note "nothing"
