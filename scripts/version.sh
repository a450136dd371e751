#!/bin/bash
# The version of guard, as Cargo.toml has it; nothing else says it a second time on its own.
#
#     scripts/version.sh            prints it, if the example's image has the same
#     scripts/version.sh v1.2.3     the same, for a release: only if this tag and the newest
#                                   heading of CHANGELOG.md say so, too
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The first `version = "…"` of the section [package].
cargo_version() {
    awk -F'"' '/^\[/ { own = ($0 == "[package]") } own && /^version *=/ { print $2; exit }' "$ROOT/Cargo.toml"
}

# `## [1.2.3] - 2026-01-31`: the newest version that the changelog tells of; empty where it has only
# [Unreleased].
changelog_version() {
    sed -nE 's/^## \[([0-9][^]]*)\].*/\1/p' "$ROOT/CHANGELOG.md" | head -n 1
}

# `image: ${GUARD_IMAGE:-guard}:${GUARD_VERSION:-1.2.3}`
example_version() {
    # shellcheck disable=SC2016
    sed -nE 's/^ +image: \$\{GUARD_IMAGE:-guard\}:\$\{GUARD_VERSION:-(.*)\}$/\1/p' "$ROOT/docker-compose.example.yml"
}

VERSION=$(cargo_version)
[ -n "$VERSION" ] || die "Cargo.toml has no version"
[ "$(example_version)" = "$VERSION" ] ||
    die "Cargo.toml has version $VERSION, and the image in docker-compose.example.yml '$(example_version)': make them the same"

if [ $# -gt 0 ]; then
    [ "$1" = "v$VERSION" ] || die "the tag is $1, and Cargo.toml has version $VERSION: they must agree (v$VERSION)"
    [ "$(changelog_version)" = "$VERSION" ] ||
        die "the newest version in CHANGELOG.md is '$(changelog_version)', and the tag is $1: put a heading '## [$VERSION] - $(date -u +%F)' over what is released"
    if sed -n '/^## \[Unreleased\]/,/^## \[[0-9]/p' "$ROOT/CHANGELOG.md" | grep -q '^- '; then
        die "CHANGELOG.md has entries under [Unreleased] above [$VERSION]: they belong below that heading, or into the next release"
    fi
fi
echo "$VERSION"
