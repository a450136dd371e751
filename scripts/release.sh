#!/bin/bash
# Builds a release into dist/, and checks it:
#
#     guard-VERSION-ARCH-linux.tar.gz    guard and guardctl, licences, documentation, completions
#     guard-VERSION-ARCH-image.tar.gz    the image, for `docker load`: guard:VERSION
#     guard-VERSION-ARCH.cdx.json        what the programs are made of (CycloneDX)
#     guard-VERSION-ARCH-image.cdx.json  the same with Debian's packages in the image
#     SHA256SUMS                         of all of them
#
#     scripts/release.sh [--tag vVERSION]
#     scripts/release.sh --documents     lists what goes along with the programs
#
# The programs are those of the image: built once, by the Dockerfile, against Debian bookworm's
# glibc. For this machine's architecture, and for the other one of amd64 and arm64 where the engine
# can build it (buildx and qemu); otherwise it is said that it was not, and how to have it.
#
# The same commit, built from the same base images, gives the same tar: sorted, without owners, and
# dated as the commit is (SOURCE_DATE_EPOCH). --tag refuses unless tag, Cargo.toml and CHANGELOG.md name one version.
#
#     GUARD_SOURCE_URL    where the sources are, for the image's label; else the remote `origin`
#     GUARD_BUILD_OPTIONS further options of `docker build` (--network host)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

# What goes along with the programs: all that README.md and docs/ link to.
DOCUMENTS=(
    README.md CHANGELOG.md ARCHITECTURE.md LICENSE LICENSE-APACHE LICENSE-MIT docker-compose.example.yml
    docs/*.md benches/README.md examples/grafana/*
)

TAG=()
case ${1:-} in
    --documents) printf '%s\n' "${DOCUMENTS[@]}" && exit ;;
    --tag) TAG=("${2:?--tag needs the tag}") ;;
    "") ;;
    *) die "unknown: $1 (see the head of $0)" ;;
esac
VERSION=$("$ROOT/scripts/version.sh" "${TAG[@]}")
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
REVISION=$(git rev-parse HEAD)
if [ -n "$(git status --porcelain)" ]; then
    REVISION+=-dirty
    [ ${#TAG[@]} = 0 ] || die "a release is built from what is committed: git status"
    say "uncommitted changes are in this build"
fi
DIST=$ROOT/dist
STAGE=$(mktemp -d)
CONTAINERS=()
# The newest glibc that a program may ask for: what docs/upgrading.md promises.
GLIBC=2.34

cleanup() {
    local container
    for container in "${CONTAINERS[@]}"; do docker rm -f "$container" >/dev/null 2>&1 || true; done
    rm -rf "$STAGE"
}
trap cleanup EXIT

# A container that never runs, or not yet; its name in $MADE.
container() { # CREATE-ARGUMENTS…
    MADE=$(docker create "$@")
    CONTAINERS+=("$MADE")
}

native() {
    case $(docker version --format '{{.Server.Arch}}') in
        amd64 | x86_64) echo amd64 ;;
        arm64 | aarch64) echo arm64 ;;
        *) die "releases are for amd64 and arm64; this engine is neither" ;;
    esac
}

target_of() {
    case $1 in
        amd64) echo x86_64-unknown-linux-gnu ;;
        arm64) echo aarch64-unknown-linux-gnu ;;
    esac
}

can_build() { # ARCH
    [ "$1" = "$NATIVE" ] || docker buildx inspect --bootstrap 2>/dev/null | grep -qE "linux/$1([,[:space:]]|\$)"
}

source_url() {
    local url=${GUARD_SOURCE_URL:-$(git remote get-url origin 2>/dev/null || true)}
    case $url in
        git@*:*) url=${url#git@} && echo "https://${url/:/\/}" ;;
        https://*) echo "$url" ;;
    esac
}

labels() {
    local url
    url=$(source_url)
    printf -- '--label\norg.opencontainers.image.%s\n' "version=$VERSION" "revision=$REVISION" \
        "created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
    if [ -n "$url" ]; then
        printf -- '--label\norg.opencontainers.image.source=%s\n' "${url%.git}"
    else
        note "no label org.opencontainers.image.source: neither GUARD_SOURCE_URL nor a remote says where the sources are"
    fi
}

build_image() { # ARCH
    local options=() label=()
    read -ra options <<<"${GUARD_BUILD_OPTIONS:-}"
    mapfile -t label < <(labels)
    # Without attestations: with them, the image would be an index that older engines don't load.
    # The release has its own.
    if [ "$1" != "$NATIVE" ]; then
        options+=(--platform "linux/$1" --provenance=false --load)
    elif docker buildx version >/dev/null 2>&1; then
        options+=(--provenance=false --load)
    else
        export DOCKER_BUILDKIT=0
    fi
    say "building the image for $1"
    docker build "${options[@]}" "${label[@]}" -t "guard:$VERSION" .
}

# What the programs need of the system, and no more than that.
check_programs() { # FOLDER
    local program needed newest
    for program in guard guardctl; do
        needed=$(readelf --dynamic "$1/$program" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p')
        needed=$(grep -vE '^(libc|libm|libgcc_s|ld-linux-[a-z0-9-]+)\.so\.[0-9]+$' <<<"$needed" || true)
        [ -z "$needed" ] || die "$program needs more than libc, libm and libgcc: $needed"
        newest=$(readelf --version-info "$1/$program" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
        note "$program: $(stat -c %s "$1/$program") bytes, needs glibc ${newest#GLIBC_}"
        [ "$(printf '%s\n' "${newest#GLIBC_}" "$GLIBC" | sort -V | tail -n 1)" = "$GLIBC" ] ||
            die "$program needs $newest, newer than the $GLIBC that docs/upgrading.md promises"
    done
}

unpack_image() { # ARCH FOLDER
    local folder=$2
    mkdir -p "$folder/completions"
    container --platform "linux/$1" "guard:$VERSION"
    docker cp "$MADE:/usr/local/bin/guard" "$folder/guard" >/dev/null
    docker cp "$MADE:/usr/local/bin/guardctl" "$folder/guardctl" >/dev/null
    docker cp "$MADE:/usr/share/bash-completion/completions/guardctl" "$folder/completions/guardctl.bash" >/dev/null
    docker cp "$MADE:/usr/share/zsh/vendor-completions/_guardctl" "$folder/completions/_guardctl" >/dev/null
    docker cp "$MADE:/usr/share/fish/vendor_completions.d/guardctl.fish" "$folder/completions/guardctl.fish" >/dev/null
    cp --parents "${DOCUMENTS[@]}" "$folder/"
    cp packaging/guard.service "$folder/"
    "$ROOT/scripts/sbom.py" "$(target_of "$1")" --licences >"$folder/LICENSES-OF-CRATES"
    find "$folder" -type d -exec chmod 0755 {} + -o -type f -exec chmod 0644 {} +
    chmod 0755 "$folder/guard" "$folder/guardctl"
}

# The same files give the same bytes.
pack() { # FOLDER OUT
    tar -C "$(dirname "$1")" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --format=ustar -cf - "$(basename "$1")" | gzip -9n >"$2"
}

make_one() { # ARCH
    local name=guard-$VERSION-$1
    local folder=$STAGE/$name-linux
    build_image "$1"
    unpack_image "$1" "$folder"
    check_programs "$folder"
    pack "$folder" "$DIST/$name-linux.tar.gz"
    pack "$folder" "$STAGE/again.tar.gz"
    cmp "$DIST/$name-linux.tar.gz" "$STAGE/again.tar.gz" || die "the tar is another each time it is made"
    say "writing the image, and what it is made of"
    docker save "guard:$VERSION" | gzip -n >"$DIST/$name-image.tar.gz"
    "$ROOT/scripts/sbom.py" "$(target_of "$1")" >"$DIST/$name.cdx.json"
    packages "$1" >"$STAGE/packages-$1"
    "$ROOT/scripts/sbom.py" "$(target_of "$1")" --image "$STAGE/packages-$1" >"$DIST/$name-image.cdx.json"
}

# Debian's packages in the image: name, version, architecture.
packages() { # ARCH
    local out
    container --platform "linux/$1" --network none --entrypoint dpkg-query "guard:$VERSION" \
        -W -f '${Package}\t${Version}\t${Architecture}\n'
    out=$(docker start -a "$MADE") || die "the image does not tell its packages: $out"
    echo "$out"
}

# As somebody gets it: out of the tar, on a bare Debian; and the image, as it is loaded.
check_one() { # ARCH
    local name=guard-$VERSION-$1 said package
    say "checking what was made for $1"
    "$ROOT/scripts/sbom.py" "$(target_of "$1")" --check "$DIST/$name.cdx.json" >&2
    "$ROOT/scripts/sbom.py" "$(target_of "$1")" --check "$DIST/$name-image.cdx.json" >&2
    for package in iptables ipset nftables libc6; do
        grep -q "\"pkg:deb/debian/$package@" "$DIST/$name-image.cdx.json" ||
            die "the image's bill of materials lacks $package"
    done
    mkdir -p "$STAGE/check-$1"
    tar -C "$STAGE/check-$1" -xzf "$DIST/$name-linux.tar.gz"
    container --platform "linux/$1" --network none debian:bookworm-slim \
        sh -c '/tmp/guard/guard --version && /tmp/guard/guardctl --version && /tmp/guard/guardctl filters >/dev/null && echo runs'
    docker cp "$STAGE/check-$1/$name-linux" "$MADE:/tmp/guard" >/dev/null
    said=$(docker start -a "$MADE") || die "the programs do not run on a bare Debian bookworm: $said"
    note "on a bare Debian bookworm: ${said//$'\n'/, }"
    [[ $said == *"guardctl $VERSION"*runs ]] || die "and they say another version than $VERSION"
    docker load -q <"$DIST/$name-image.tar.gz" >/dev/null
    said=$(docker image inspect --format \
        '{{.Architecture}} {{index .Config.Labels "org.opencontainers.image.version"}} {{index .Config.Labels "org.opencontainers.image.revision"}}' \
        "guard:$VERSION")
    [ "$said" = "$1 $VERSION $REVISION" ] || die "the image says of itself: $said"
}

NATIVE=$(native)
rm -rf "$DIST"
mkdir -p "$DIST"
"$ROOT/scripts/base-images.sh" --newest
BUILT=() LEFT_OUT=()
# The native one last: guard:VERSION is that one afterwards.
for arch in $([ "$NATIVE" = amd64 ] && echo arm64 amd64 || echo amd64 arm64); do
    if can_build "$arch"; then
        make_one "$arch"
        check_one "$arch"
        BUILT+=("$arch")
    else
        LEFT_OUT+=("$arch")
    fi
done
(cd "$DIST" && sha256sum -- * >"$STAGE/SHA256SUMS" && mv "$STAGE/SHA256SUMS" . && sha256sum --quiet -c SHA256SUMS)
say "guard $VERSION for ${BUILT[*]}, in dist/:"
(cd "$DIST" && stat -c '    %s %n' -- *) >&2
for arch in "${LEFT_OUT[@]}"; do
    say "NOT built for $arch: this engine's builder has no qemu for it (docker run --privileged tonistiigi/binfmt --install $arch), or run make release on such a machine"
done
