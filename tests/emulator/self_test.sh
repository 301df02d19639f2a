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

# run BUILD ARGUMENTS...
run() {
  build=$1
  shift
  "$here/run.sh" "$out/$build" "$out/self_test" "$here/../.." "$@"
}

for order in forward reverse random; do
  echo "plain, $order"
  EMULATOR_ORDER=$order run plain
done
echo "fused multiply-adds"
EMULATOR_CONTRACT=fast run plain
echo "address sanitizer"
run address
echo "detector of races"
EMULATOR_SANITIZE=thread run plain

# Each must end with an error, and the report must name the line of the kernel.
for mistake in over_global over_static over_template over_dynamic misaligned; do
  if run address $mistake >"$out/report" 2>&1; then
    echo "FAILED: $mistake ended well"; exit 1
  fi
  grep -Eq 'AddressSanitizer: .*buffer-overflow|misaligned address' "$out/report" || { cat "$out/report"; exit 1; }
  grep -m 1 'self_test_kernels.cu:[0-9]' "$out/report" || { cat "$out/report"; exit 1; }
done

# Each must be reported with both lines, in whatever order threads run.
races="race_write_read race_read_write race_write_write race_halves race_after_shuffle race_past_arrival race_of_blocks
  race_atomic_read race_of_fences race_fill race_move race_fence_too_early race_count_in_shared
  race_copy_unawaited race_copy_unshared race_copy_refilled race_product_unawaited
  race_product_other_awaited race_product_one_warp_awaits race_product_released_early
  race_box_unshared race_box_refilled"
# shellcheck disable=SC2086
count=$(set -- $races; echo $#)
place='self_test_[a-z]+.cu:[0-9]+'
for order in forward reverse random; do
  # shellcheck disable=SC2086
  EMULATOR_SANITIZE=thread EMULATOR_ORDER=$order run plain $races >"$out/report" 2>&1 || { cat "$out/report"; exit 1; }
  reports=$(grep -Ec "a race on .*$place.*, .*$place.*, and" "$out/report")
  [ "$reports" = "$count" ] || { echo "FAILED: $reports of $count races reported in full"; cat "$out/report"; exit 1; }
done
echo "all reported"
