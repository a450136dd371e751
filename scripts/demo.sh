#!/bin/bash
# Attacks the example (`make up` first) and shows the ban happen, step by step. Ends with an
# error when a step does not happen.
#
#     scripts/demo.sh [flask | flask-file]
#
# The attacker lives in a network namespace of its own, joined to this machine by a pair of
# virtual cards: its packets come in like those of any other machine. It is removed at the end,
# whatever happens, and so are its bans. Needs root.
#
#     GUARD_HOST_NETNS   the network namespace of the Docker engine, where it is not this one
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/example.sh"

SERVICE=${1:-flask}
case $SERVICE in
    flask) PORT=8080 ;;
    flask-file) PORT=8081 ;;
    *) die "usage: demo.sh [flask | flask-file]" ;;
esac
MAXRETRY=5

NETNS=guard-demo-$$
CARD=gdemo$$
HOST_NETNS=${GUARD_HOST_NETNS:-$$} # a name, or a process that lives in it
SERVER="" ATTACKER="" VISITOR="" # addresses, chosen below

host()  { if [ -n "${GUARD_HOST_NETNS:-}" ]; then ip netns exec "$GUARD_HOST_NETNS" "$@"; else "$@"; fi; }
guest() { ip netns exec "$NETNS" "$@"; }
guardctl() { docker exec guard guardctl "$@"; }

STEP=0
step() { STEP=$((STEP + 1)); printf '\n%s. %s\n' "$STEP" "$*"; }
show() { printf '   $ %s\n' "$*"; "$@" 2>&1 | sed '/^# Warning: iptables-legacy/d; s/^/   /'; }
fail() {
    printf '\nThe demo failed at step %s: %s\n\nThe last words of guard:\n' "$STEP" "$*" >&2
    docker logs --tail 20 guard >&2 || true
    exit 1
}

cleanup() {
    local address
    for address in $ATTACKER $VISITOR; do guardctl unban "$address" >/dev/null 2>&1 || true; done
    ip netns del "$NETNS" 2>/dev/null || true
    host ip link del "$CARD" 2>/dev/null || true
    forget_adaption
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The first /24 of 10.98.0.0/16 that no route of this machine touches; so it is no network of
# Docker's either, whose addresses are never banned.
choose_addresses() {
    local n net
    for n in {0..255}; do
        net=10.98.$n
        if [ -z "$(host ip -4 route show match "$net.0/24" | grep -v '^default' || true)" ] &&
            [ -z "$(host ip -4 route show root "$net.0/24" | grep -v '^default' || true)" ]; then
            SERVER=$net.1 ATTACKER=$net.66 VISITOR=$net.7
            return
        fi
    done
    die "no free network in 10.98.0.0/16"
}

make_attacker() {
    ip netns add "$NETNS"
    guest ip link set lo up
    guest ip link add eth0 type veth peer name "$CARD"
    guest ip link set "$CARD" netns "$HOST_NETNS"
    host ip addr add "$SERVER/24" dev "$CARD"
    host ip link set "$CARD" up
    guest ip addr add "$ATTACKER/24" dev eth0
    guest ip addr add "$VISITOR/24" dev eth0
    guest ip link set eth0 up
    guest ip route add default via "$SERVER"
}

# page ADDRESS: the HTTP status that this client gets for the login page; 000 for none.
page() {
    guest curl --silent --output /dev/null --write-out '%{http_code}' --max-time 3 \
        --interface "$1" "http://$SERVER:$PORT/login" || true
}

# wrong_login ADDRESS PASSWORD: the same for a login.
wrong_login() {
    guest curl --silent --output /dev/null --write-out '%{http_code}' --max-time 3 \
        --interface "$1" --data-urlencode username=aaa --data-urlencode "password=$2" \
        "http://$SERVER:$PORT/login" || true
}

gets()      { [ "$(page "$1")" = "$2" ]; }
# Not `guardctl … | grep -q`: grep leaves at the first match, and pipefail would call that a failure.
shows()     { local text; text=$("$@") && grep -qwF "$ATTACKER" <<<"$text"; }

# The rules, as seen from guard's own container: it shares the host's network, and has the tools
# of both kinds. The legacy ones are only asked where Docker's chain is not in the other kind.
firewall() {
    local tool rules
    for tool in iptables-nft iptables-legacy; do
        rules=$(docker exec guard "$tool" -w -S 2>/dev/null || true)
        if grep -q -- '^-A FORWARD.* -j DOCKER-USER' <<<"$rules"; then
            show docker exec guard "$tool" -w -L DOCKER-USER -n --line-numbers
            grep -m 1 '^-A DOCKER-USER' <<<"$rules" | grep -q -- '-j f2b-' ||
                fail "the first rule in DOCKER-USER is no jump to an f2b- chain"
            return
        fi
    done
    # Docker with its nftables backend has no DOCKER-USER.
    show docker exec guard nft list table inet guard
}

[ "$(id -u)" = 0 ] || die "the attacker's network namespace needs root: sudo make demo"
for program in ip curl; do have "$program" || die "$program is missing: scripts/install-tools.sh"; done
[ "$(docker inspect --format '{{.State.Running}}' guard 2>/dev/null)" = true ] || die "guard is not running: make up"

choose_addresses
make_attacker
guardctl unban "$ATTACKER" >/dev/null 2>&1 || true
guardctl unban "$VISITOR" >/dev/null 2>&1 || true

step "An attacker at $ATTACKER and a visitor at $VISITOR open the login page of $SERVICE"
wait_for 20 gets "$ATTACKER" 200 || fail "the attacker gets $(page "$ATTACKER") instead of the page"
gets "$VISITOR" 200 || fail "the visitor gets $(page "$VISITOR") instead of the page"
echo "   both get it"

step "The attacker guesses passwords: $MAXRETRY times, as guard.maxretry says"
for n in $(seq "$MAXRETRY"); do
    status=$(wrong_login "$ATTACKER" "guess$n")
    # The last one is often cut off before its answer: the ban is quicker.
    if [ "$status" = 000 ] && [ "$n" = "$MAXRETRY" ]; then
        echo "   guess $n: no answer any more"
        continue
    fi
    [ "$status" = 401 ] || fail "guess $n was answered with $status instead of 401"
    echo "   guess $n: wrong"
done
container=$(docker inspect --format '{{slice .Name 1}}' "$(example ps -q "$SERVICE")")
if [ "$SERVICE" = flask ]; then
    show docker logs --tail 1 "$container"
else
    show docker exec "$container" tail -n 1 /var/log/flask/login.log
fi

step "guard has banned it"
begun=$(date +%s%N)
wait_for 15 shows guardctl banned || fail "$ATTACKER is not banned 15 s after its last guess (is it in GUARD_IGNOREIP?)"
echo "   seen $((($(date +%s%N) - begun) / 1000000)) ms after we began to look"
show docker exec guard guardctl status "$SERVICE"
shows guardctl status "$SERVICE" || fail "the status of $SERVICE does not show $ATTACKER"
show docker exec guard guardctl banned

step "The jump to its chain stands at the head of DOCKER-USER, before all rules of Docker"
firewall

step "The attacker is refused, the visitor is not"
wait_for 10 gets "$ATTACKER" 000 || fail "the attacker still gets $(page "$ATTACKER")"
echo "   $ATTACKER: no connection"
gets "$VISITOR" 200 || fail "the visitor gets $(page "$VISITOR") too"
echo "   $VISITOR: 200"

step "We pardon it"
show docker exec guard guardctl unban "$ATTACKER"
wait_for 10 gets "$ATTACKER" 200 || fail "the attacker still gets no page after the unban"
echo "   $ATTACKER: 200"

printf '\nAll of it happened. The attacker and its network are removed now.\n'
