#!/bin/bash
# Makes sure that the engine which DOCKER_HOST names has the two base images of the Dockerfile:
#
#     debian:bookworm-slim   rust:1-slim-bookworm
#
# Where a registry answers they are pulled. Where none does (a machine without a way out, a test
# bed) they are made from Debian's packages and this machine's own Rust toolchain, and imported
# under the same tags, so that the Dockerfile needs no change. The tars stay in $GUARD_CACHE
# (default ~/.cache/guard) and the next run only imports them.
#
#     scripts/base-images.sh [--tars | --newest] [debian] [rust]
#
# --newest  pulls also what is there, so that nothing old is built upon
# --tars    makes the tars $GUARD_CACHE/images/{debian,rust}.tar and touches no engine
set -euo pipefail
. "$(dirname "$0")/lib.sh"

SUITE=bookworm
IMAGES=$GUARD_CACHE/images
RUSTUP=/usr/local/rustup
CARGO=/usr/local/cargo

tag_of() {
    case $1 in
        debian) echo debian:bookworm-slim ;;
        rust) echo rust:1-slim-bookworm ;;
        *) die "no such base image: $1 (debian, rust)" ;;
    esac
}

# One bootstrap for both: minimal Debian without documentation and translations. Certificates that
# the administrator of this machine trusts are trusted in the image too, as soon as a Dockerfile
# installs ca-certificates: builds behind a proxy that opens TLS need it.
bootstrap() { # OUT.tar [PACKAGE,…]
    local out=$1 include=usr-is-merged${2:+,$2} mirror security
    have mmdebstrap || die "mmdebstrap is missing (apt-get install mmdebstrap), and no registry answers"
    mirror=$(debian_mirror) security=$(debian_security_mirror)
    # shellcheck disable=SC2016
    local hooks=(--setup-hook='mkdir -p "$1/usr/local/share/ca-certificates"')
    local ca
    for ca in /usr/local/share/ca-certificates/*.crt; do
        if [ -r "$ca" ]; then hooks+=("--setup-hook=upload $ca /usr/local/share/ca-certificates/${ca##*/}"); fi
    done
    # With /usr merged from the start: otherwise the package that merges it brings all of perl.
    mmdebstrap --quiet --format=tar --variant=minbase --include="$include" \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr "${hooks[@]}" \
        --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"' \
        "$SUITE" "$out" \
        "deb $mirror $SUITE main" "deb $mirror $SUITE-updates main" "deb $security $SUITE-security main" \
        >"$out.log" 2>&1 || { cat "$out.log" >&2; rm -f "$out.log"; return 1; }
    rm -f "$out.log"
}

make_debian() {
    say "debian.tar: bootstrapping $SUITE from $(debian_mirror)"
    bootstrap "$1"
}

# As the official image: a C compiler, and the toolchain in /usr/local/rustup with its programs in
# /usr/local/cargo/bin. Compiler, cargo and the standard library only.
make_rust() {
    local sysroot name stage parts
    have rustc || die "rustc is missing: without a registry the Rust image is made from this machine's toolchain"
    sysroot=$(rustc --print sysroot)
    if [ ! -x "$sysroot/bin/cargo" ] || [ "$sysroot" = /usr ]; then
        die "the Rust toolchain in $sysroot cannot be copied: install one by rustup"
    fi
    name=$(basename "$sysroot")
    say "rust.tar: bootstrapping $SUITE with gcc, and adding $(rustc --version)"
    bootstrap "$1" ca-certificates,gcc,libc6-dev
    mapfile -t parts < <(cd "$sysroot" && ls -d bin/rustc bin/cargo bin/rustdoc lib/*.so* lib/rustlib/*-linux-*/)
    tar -C "$sysroot" --append -f "$1" --owner=0 --group=0 \
        --transform "s,^,.$RUSTUP/toolchains/$name/,rSh" "${parts[@]}"
    stage=$(mktemp -d)
    mkdir -p "$stage$CARGO/bin"
    local program
    for program in rustc cargo rustdoc; do
        ln -s "$RUSTUP/toolchains/$name/bin/$program" "$stage$CARGO/bin/$program"
    done
    tar -C "$stage" --append -f "$1" --owner=0 --group=0 .${CARGO}
    rm -rf "$stage"
}

# A tar that is there is used, unless it is of another toolchain than this machine's.
ensure_tar() {
    local image=$1 tar=$IMAGES/$1.tar made_of
    made_of=$(made_of "$image")
    if [ -s "$tar" ] && [ "$(cat "$tar.of" 2>/dev/null)" = "$made_of" ]; then
        note "$image.tar is in $IMAGES"
        return
    fi
    rm -f "$tar" "$tar.new" "$tar.of"
    "make_$image" "$tar.new"
    mv "$tar.new" "$tar"
    echo "$made_of" >"$tar.of"
}

made_of() {
    case $1 in
        debian) echo "$SUITE 2" ;;
        rust) echo "$SUITE 2 $(rustc --version 2>/dev/null || true)" ;;
    esac
}

# Both at once: bootstrapping waits for the disk and the mirror as much as for the processor.
ensure_tars() {
    local image jobs=() failed=0 job
    mkdir -p "$IMAGES"
    exec 9>"$IMAGES/.lock"
    flock 9
    for image in "$@"; do
        ensure_tar "$image" 9>&- &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    exec 9>&-
    return $failed
}

import() {
    local image=$1 changes=(--change 'CMD ["bash"]')
    if [ "$image" = rust ]; then
        changes+=(--change "ENV RUSTUP_HOME=$RUSTUP CARGO_HOME=$CARGO PATH=$CARGO/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    fi
    say "$(tag_of "$image"): importing $image.tar"
    docker import "${changes[@]}" "$IMAGES/$image.tar" "$(tag_of "$image")" >/dev/null
}

main() {
    local tars=no newest=no answers=yes wanted=() missing=() image
    for image in "$@"; do
        case $image in
            --tars) tars=yes ;;
            --newest) newest=yes ;;
            *) tag_of "$image" >/dev/null; wanted+=("$image") ;;
        esac
    done
    if ((${#wanted[@]} == 0)); then wanted=(debian rust); fi
    if [ $tars = yes ]; then
        ensure_tars "${wanted[@]}"
        return
    fi

    docker version >/dev/null 2>&1 || die "no answer from the Docker engine${DOCKER_HOST:+ at $DOCKER_HOST}"
    for image in "${wanted[@]}"; do
        if docker image inspect "$(tag_of "$image")" >/dev/null 2>&1; then
            # One try, as below.
            if [ $newest = yes ] && [ $answers = yes ] && ! pull "$image"; then answers=no; fi
            if [ $answers = no ]; then
                say "$(tag_of "$image") of $(docker image inspect -f '{{.Created}}' "$(tag_of "$image")") is used: no registry answers"
            else
                note "$(tag_of "$image") is there"
            fi
        else
            missing+=("$image")
        fi
    done
    if ((${#missing[@]} == 0)); then return; fi

    # The smaller one shows whether a registry answers: one try, and no waiting for a network
    # that swallows packets.
    if pull "${missing[0]}"; then
        for image in "${missing[@]:1}"; do pull "$image" || die "could not pull $(tag_of "$image")"; done
        return
    fi
    say "no registry answers: making ${missing[*]} from Debian packages, which takes a minute the first time"
    ensure_tars "${missing[@]}"
    for image in "${missing[@]}"; do import "$image"; done
}

# A registry that does not begin to answer within seconds is none.
pull() {
    local tag
    tag=$(tag_of "$1")
    if [ ! -s "$IMAGES/$1.tar" ]; then
        say "$tag: pulling"
    fi
    timeout "${GUARD_PULL_TIMEOUT:-600}" docker pull --quiet "$tag" >/dev/null 2>&1
}

main "$@"
