#!/bin/bash
# Installs what the tests, the demo and the base images call and this machine lacks: Debian
# packages, as root. Elsewhere it says what is missing, and succeeds: the tests that need it say
# loudly that they were skipped, and GUARD_TEST_REQUIRE makes that a failure.
#
# Quick, and silent, where everything is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# A program, and the packages that it needs.
TOOLS='
iptables        iptables
ip6tables       iptables
ipset           ipset
nft             nftables
conntrack       conntrack
ip              iproute2
nsenter         util-linux
curl            curl
jq              jq
python3         python3
busybox         busybox-static
mmdebstrap      mmdebstrap
cc              gcc
podman          podman netavark aardvark-dns
openssl         openssl
aiosmtpd        python3-aiosmtpd
'

missing_packages() {
    local program package
    while read -r program package; do
        if [ -n "$program" ] && ! have "$program"; then echo "$package"; fi
    done <<<"$TOOLS" | sort -u
}

main() {
    local missing
    PATH=$PATH:/usr/sbin:/sbin
    missing=$(missing_packages | tr '\n' ' ')
    if [ -z "$missing" ]; then return; fi
    if ! have apt-get; then
        say "missing: $missing(no apt-get here to install them)"
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        say "missing: ${missing% }; as root: apt-get install --no-install-recommends ${missing% }"
        return
    fi
    say "installing: $missing"
    export DEBIAN_FRONTEND=noninteractive
    # The package lists may be old, or not there at all: they are fetched when they do not serve.
    # shellcheck disable=SC2086
    apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing >/dev/null; } ||
        say "could not install: $missing"
}

main "$@"
