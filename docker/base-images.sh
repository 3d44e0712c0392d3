#!/usr/bin/env bash
# Makes the two base images that docker/Dockerfile names, without a container registry: Debian from its packages (debootstrap),
# Rust from the toolchain of this machine and the crates that Cargo.lock names. Does nothing for images that are there,
# so it never replaces pulled ones. Needs root, docker, debootstrap and Rust.
#
# Where packages come from is taken from this machine's apt sources, Debian's release with it.
set -euo pipefail
cd "$(dirname "$0")/.."

debian=debian:bookworm-slim
rust=rust:1.95-slim-bookworm
# The toolchain without crates: what the Rust image is made of anew when Cargo.lock changes.
toolchain=menagerie-local/rust-toolchain:1.95
label=menagerie.cargo-lock

have() { docker image inspect "$1" >/dev/null 2>&1; }
say() { printf '== %s\n' "$*"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/packages"

mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Created-By: Packages' | head -n 1
}

# bootstrap DIRECTORY PACKAGE,…
bootstrap() {
    local from
    from=$(mirror)
    [ -n "$from" ] || { echo "apt's sources on this machine have no Debian bookworm" >&2; exit 1; }
    debootstrap --variant=minbase --cache-dir="$work/packages" --include="$2" bookworm "$1" "$from" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; exit 1; }
    rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/var/log/*.log \
        "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*
    # Device files come with every container.
    rm -rf "$1"/dev && mkdir "$1"/dev
}

# import DIRECTORY NAME [CHANGE…]
import() {
    local root=$1 name=$2 changes=()
    shift 2
    for change in "$@"; do changes+=(--change "$change"); done
    tar -C "$root" --numeric-owner -c . | docker import "${changes[@]}" - "$name" >/dev/null
}

if have "$debian"; then
    say "$debian is there"
else
    say "$debian from Debian's packages"
    bootstrap "$work/debian" ca-certificates,netcat-openbsd
    import "$work/debian" "$debian" 'CMD ["bash"]'
    rm -rf "$work/debian"
fi

# A pulled image has neither the label nor a need for crates.
if have "$rust" && ! docker image inspect --format '{{json .Config.Labels}}' "$rust" | grep -q "$label"; then
    say "$rust is there"
    exit
fi

lock=$(sha256sum Cargo.lock | cut -d ' ' -f 1)
if have "$rust" && [ "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$rust")" = "$lock" ]; then
    say "$rust is there, with the crates of Cargo.lock"
    exit
fi

if ! have "$toolchain"; then
    say "$toolchain from Debian's packages and $(rustc --version)"
    bootstrap "$work/rust" ca-certificates,gcc,libc6-dev
    sysroot=$(rustc --print sysroot)
    mkdir -p "$work/rust/usr/local/rust" "$work/rust/usr/local/cargo"
    tar -C "$sysroot" --exclude=./share --exclude='./lib/rustlib/*/bin/rust-lldb*' -c . |
        tar -C "$work/rust/usr/local/rust" -x
    import "$work/rust" "$toolchain" 'CMD ["bash"]' \
        'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        'ENV CARGO_HOME=/usr/local/cargo' 'ENV CARGO_NET_OFFLINE=true'
    rm -rf "$work/rust"
fi

say "$rust with the crates of Cargo.lock"
mkdir -p "$work/context/cargo"
CARGO_HOME="$work/context/cargo" cargo fetch --locked --quiet
# Sources are unpacked again from the archives where they are used.
rm -rf "$work/context/cargo/registry/src"
printf 'FROM %s\nCOPY cargo /usr/local/cargo\nLABEL %s=%s\n' "$toolchain" "$label" "$lock" >"$work/context/Dockerfile"
docker build --quiet --tag "$rust" "$work/context" >/dev/null
say "done"
