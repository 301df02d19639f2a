#!/bin/sh
# self_test.sh [OUT]: tests the emulator, plain and for ASan: OUT/plain and OUT/address, as build.sh makes them. Without
# OUT it builds both in a temporary folder.
set -e
here=$(cd "$(dirname "$0")" && pwd)
out=$1
if [ -z "$out" ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
  "$here/build.sh" "$out/plain"
  "$here/build.sh" "$out/address" address
fi
${CXX:-c++} -std=c++17 -O1 -Wall -Wextra -Wno-psabi "$here/self_test.cpp" -o "$out/self_test" -ldl

for order in forward reverse random; do
  echo "plain, $order"
  EMULATOR_ORDER=$order "$here/run.sh" "$out/plain" "$out/self_test" "$here/self_test_kernels.cu"
done
echo "fused multiply-adds"
EMULATOR_CONTRACT=fast "$here/run.sh" "$out/plain" "$out/self_test" "$here/self_test_kernels.cu"
echo "address sanitizer"
"$here/run.sh" "$out/address" "$out/self_test" "$here/self_test_kernels.cu"

# Each must end with an error, and the report must name the line of the kernel.
for mistake in over_global over_static over_template over_dynamic misaligned; do
  if "$here/run.sh" "$out/address" "$out/self_test" "$here/self_test_kernels.cu" $mistake >"$out/report" 2>&1; then
    echo "FAILED: $mistake ended well"; exit 1
  fi
  grep -Eq 'AddressSanitizer: .*buffer-overflow|misaligned address' "$out/report" || { cat "$out/report"; exit 1; }
  grep -m 1 'self_test_kernels.cu:[0-9]' "$out/report" || { cat "$out/report"; exit 1; }
done
echo "all reported"
