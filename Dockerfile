# syntax=docker/dockerfile:1
# The image of the platform, as `cargo xtask image` writes it without a container engine: one static program. `/berth` is all
# contexts in one process, `/room`, `/reservation`, … each context as a process of its own.
#
#   docker build --tag berth .
#   docker run --publish 8080:8080 berth --listen 0.0.0.0:8080
#   docker run --entrypoint /room berth --help
#
# Where images and crates come from; mirrors may be named instead.
ARG IMAGES=docker.io/library
ARG RUST=1.95.0

FROM ${IMAGES}/rust:${RUST}-slim-bookworm AS chef
ARG RUST
# Without this the components of rust-toolchain.toml would be installed, which a build does not need.
ENV RUSTUP_TOOLCHAIN=${RUST} TARGET=x86_64-unknown-linux-gnu
RUN cargo install --locked cargo-chef@0.1.78
WORKDIR /berth

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path /recipe.json

FROM chef AS build
ENV RUSTFLAGS="-Ctarget-feature=+crt-static --remap-path-prefix=/usr/local/cargo=/cargo"
COPY --from=plan /recipe.json /recipe.json
# Dependencies only: this layer is built anew when Cargo.lock changes, not when the sources do.
RUN cargo chef cook --locked --release --target ${TARGET} --package all --bin berth --recipe-path /recipe.json
COPY . .
RUN cargo build --locked --release --target ${TARGET} --package all --bin berth \
    && mkdir -p /image/etc /image/data /image/tmp && chmod 1777 /image/data /image/tmp \
    && cp target/${TARGET}/release/berth /image/berth \
    && for service in services/*/src/main.rs; do \
         name=$(basename ${service%/src/main.rs}); [ "$name" = all ] || ln -s /berth "/image/$name"; \
       done \
    && echo 'berth:x:65532:65532::/:/nonexistent' >/image/etc/passwd

FROM scratch
COPY --from=build /image /
USER 65532:65532
WORKDIR /
EXPOSE 8080 8081
ENTRYPOINT ["/berth"]
