#!/usr/bin/env bash
# Tests as an AArch64 runs them, with its NEON kernels, on a machine of another kind: cross-compiled, and run by qemu.
# Needs rustup, and of Debian the packages qemu-user, gcc-aarch64-linux-gnu and g++-aarch64-linux-gnu.
#
#     tests/aarch64.sh [ARGUMENTS OF cargo test]       # else -p kernels
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=aarch64-unknown-linux-gnu
prefix=aarch64-linux-gnu
for program in rustup qemu-aarch64 "$prefix-gcc"; do
    command -v "$program" >/dev/null || { echo "$program is missing; see the head of $0" >&2; exit 1; }
done
rustup target add "$target"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$prefix-gcc"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/$prefix"
[ $# -gt 0 ] || set -- -p kernels
cargo test --target "$target" --no-fail-fast "$@"
