#!/bin/sh
# build.sh OUT_DIR [address]: the emulated driver and compiler, under the names that programs look for.
set -e
out=${1:?usage: build.sh OUT_DIR [address]}
here=$(cd "$(dirname "$0")" && pwd)
flags="-std=c++17 -O3 -g -Wall -Wextra -fPIC -shared -fvisibility=hidden -Wl,-z,noexecstack"
mkdir -p "$out"
rm -f "$out/sanitize"
# Tests keep compiled kernels here, by the text of the kernels: what they include of this folder is not part of that.
if [ -n "$(find "$here/device" "$here/compiler" -newer "$out/libnvrtc.so.13" 2>&1)" ]; then rm -rf "$out"/kernels*; fi
# The file tells run.sh.
if [ "$2" = address ]; then sanitize=-fsanitize=address; touch "$out/sanitize"; else sanitize=; fi
# shellcheck disable=SC2086
${CXX:-c++} $flags $sanitize "$here"/driver/*.cpp -Wl,-soname,libcuda.so.1 -o "$out/libcuda.so.1" -ldl -lpthread
# The compiler runs no kernel and needs no sanitizer.
# shellcheck disable=SC2086
${CXX:-c++} $flags -DEMULATOR_INCLUDE_FOLDER="\"$here/device\"" "$here"/compiler/*.cpp \
  -Wl,-soname,libnvrtc.so.13 -o "$out/libnvrtc.so.13" -lpthread
ln -sf libcuda.so.1 "$out/libcuda.so"
ln -sf libnvrtc.so.13 "$out/libnvrtc.so"
