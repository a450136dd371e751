#!/bin/bash
# Publishes what `make release` made on the machine of each architecture; for
# .github/workflows/release.yml. Those files are in built/, a folder for each.
#
#     scripts/publish.sh image TAG NAME    pushes the image, as NAME:VERSION (and NAME:latest), and
#                                          prints its name and digest; all files are in dist/ then
#     scripts/publish.sh release TAG       makes the release on GitHub, with the files in dist/
#
#     GHCR_USER, GHCR_TOKEN   who pushes; without them, who is logged in
#     GH_TOKEN, GH_REPO       for gh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

# What is no finished version (1.2.3-rc.1) is neither `latest` nor offered as the newest release.
is_finished() { [[ $1 != *-* ]]; }

# All files in one folder, each as it was when it was made.
gather() {
    local folder
    rm -rf dist
    mkdir dist
    for folder in built/*/; do
        (cd "$folder" && sha256sum --quiet -c SHA256SUMS)
        find "$folder" -type f ! -name SHA256SUMS -exec mv -n {} dist/ \;
    done
    (cd dist && sha256sum -- * >../SHA256SUMS.new)
    mv SHA256SUMS.new dist/SHA256SUMS
}

push_image() { # VERSION NAME
    local version=$1 name=${2,,} arch digest parts=() tags=(-t "${2,,}:$1")
    if [ -n "${GHCR_TOKEN:-}" ]; then
        docker login "${name%%/*}" --username "$GHCR_USER" --password-stdin <<<"$GHCR_TOKEN" >&2
    fi
    for arch in amd64 arm64; do
        docker load -q <"dist/guard-$version-$arch-image.tar.gz" >&2
        docker tag "guard:$version" "$name:$version-$arch"
        docker push -q "$name:$version-$arch" >&2
        parts+=("$name:$version-$arch")
    done
    if is_finished "$version" && is_newest "$version"; then tags+=(-t "$name:latest"); fi
    docker buildx imagetools create "${tags[@]}" "${parts[@]}" >&2
    digest=$(docker buildx imagetools inspect "$name:$version" --format '{{json .Manifest}}' | jq -r .digest)
    [[ $digest == sha256:* ]] || die "no digest of $name:$version is told: $digest"
    echo "name=$name"
    echo "digest=$digest"
}

# A fix of an older series must not take `latest` from a newer one.
is_newest() { # VERSION
    local newest
    newest=$(git ls-remote --tags --refs origin 'refs/tags/v*' | sed 's,.*/v,,' | grep -v -- - | sort -V | tail -n 1)
    [ "$newest" = "$1" ]
}

# The part of CHANGELOG.md below the version's heading.
changes() { # VERSION
    awk -v heading="## [$1]" 'index($0, "## [") == 1 { own = (index($0, heading) == 1); next } own' CHANGELOG.md
}

make_release() { # TAG VERSION
    local options=(--verify-tag --title "guard $2")
    if ! is_finished "$2"; then options+=(--prerelease); fi
    is_newest "$2" || options+=(--latest=false)
    changes "$2" >notes.md
    gh release create "$1" "${options[@]}" --notes-file notes.md dist/*
}

VERSION=$("$ROOT/scripts/version.sh" "${2:?the tag}")
case $1 in
    image)
        gather
        push_image "$VERSION" "${3:?the name of the image}"
        ;;
    release) make_release "$2" "$VERSION" ;;
    *) die "unknown: $1 (see the head of $0)" ;;
esac
