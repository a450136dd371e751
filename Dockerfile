# guard's image. Builds with the legacy builder and with BuildKit:
#
#     docker build -t guard .
#
# It needs no privileges beyond three capabilities, and no writable root:
#
#     docker run -d --name guard --network host --cap-drop ALL \
#         --cap-add NET_ADMIN --cap-add NET_RAW --cap-add DAC_READ_SEARCH \
#         --read-only --tmpfs /run --tmpfs /tmp --security-opt no-new-privileges:true \
#         -v /var/run/docker.sock:/var/run/docker.sock:ro \
#         -v /var/lib/docker/volumes:/var/lib/docker/volumes:ro,rslave \
#         -v guard-data:/var/lib/guard  guard

FROM rust:1-slim-bookworm AS build
WORKDIR /build

# For a quicker build of larger and slower programs, as the tests have it:
#     --build-arg CARGO_PROFILE_RELEASE_LTO=off --build-arg CARGO_PROFILE_RELEASE_OPT_LEVEL=0 …
ARG CARGO_PROFILE_RELEASE_LTO
ARG CARGO_PROFILE_RELEASE_OPT_LEVEL
ARG CARGO_PROFILE_RELEASE_CODEGEN_UNITS

# The dependencies in a layer of their own, which stays until Cargo.toml or Cargo.lock change:
# they are built with an empty program. Benches and tests are cut from the manifest here, because
# their files are not there yet; and guard's own traces are removed, because the real sources may
# be older than them, which cargo would take for "nothing changed".
COPY Cargo.toml Cargo.lock ./
RUN cp Cargo.toml /tmp/Cargo.toml \
    && awk '/^\[/ { cut = /^\[\[(bench|test|example)\]\]/ } !cut' /tmp/Cargo.toml > Cargo.toml \
    && mkdir -p src/bin/guardctl \
    && echo '//! Empty.' > src/lib.rs \
    && printf '//! Empty.\nfn main() {}\n' | tee src/main.rs > src/bin/guardctl/main.rs \
    && cargo build --release --locked \
    && cargo clean --release --locked -p guard \
    && rm -rf src

COPY . .
RUN cargo build --release --locked


FROM debian:bookworm-slim

# Both kinds of iptables (the package has iptables-nft and iptables-legacy): guard uses the one
# that Docker uses on the host.
RUN apt-get update \
    && apt-get install -y --no-install-recommends iptables ipset nftables \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/log/apt /var/log/dpkg.log \
    && mkdir -p -m 0700 /var/lib/guard

COPY --from=build /build/target/release/guard /build/target/release/guardctl /usr/local/bin/

# `docker exec -it guard bash` and images made from this one complete guardctl's words.
RUN mkdir -p /usr/share/bash-completion/completions /usr/share/zsh/vendor-completions \
        /usr/share/fish/vendor_completions.d \
    && guardctl completions bash > /usr/share/bash-completion/completions/guardctl \
    && guardctl completions zsh > /usr/share/zsh/vendor-completions/_guardctl \
    && guardctl completions fish > /usr/share/fish/vendor_completions.d/guardctl.fish

# Bans, counts and positions in the logs.
VOLUME /var/lib/guard

# Fails as long as what guard wants is not what the kernel has.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["guardctl", "ping"]

ENTRYPOINT ["/usr/local/bin/guard"]

LABEL org.opencontainers.image.title="guard" \
      org.opencontainers.image.description="fail2ban for Docker: jails from container labels, bans in front of containers" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
