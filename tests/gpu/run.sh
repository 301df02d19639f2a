#!/bin/sh
# run.sh [OUT]: whether the kernels are right on the card of this machine. Needs the driver, NVRTC and what prepare.sh
# built, nothing else; logs go to OUT (target/gpu/log).
#
#   1. every op, whole models and training against the CPU (tests/tests/devices)
#   2. the same on the rungs of the matmul ladder that the card would not choose
#   3. the same under compute-sanitizer, memcheck and racecheck, where that is installed
#   4. the main job on the card and on the CPU, if prepare.sh was given a model and data: accuracies within half a point
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-$root/target/gpu/log}
gpu=$root/target/gpu
mkdir -p "$out"
cd "$root" || exit 1
export FINETUNE_ROOT=$root RUST_BACKTRACE=0
# Without a card nothing is skipped: it fails.
export TESTS_EXPECT_CARD=1
export KERNELS_CUDA_CACHE=$out/kernels
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/cuda/lib64"
failed=0

# step NAME COMMAND...: runs it, keeps what it says, and says how it went.
step() {
  name=$1
  shift
  if "$@" >"$out/$name.log" 2>&1; then result=passed; else result=FAILED; failed=1; fi
  printf '%-22s %s  %s\n' "$name" "$result" "$(grep -E '^test result|ERROR SUMMARY|RACECHECK SUMMARY' "$out/$name.log" | tail -n 1)"
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader || echo "no nvidia-smi"
step devices "$gpu/devices" --skip emulated --nocapture
for rung in naive tiled mma; do
  step "devices-$rung" env KERNELS_CUDA="$rung" "$gpu/devices" --skip emulated linear matmul model
done
if command -v compute-sanitizer >/dev/null; then
  # Each array in a block of its own, so that its end is seen.
  for tool in memcheck racecheck; do
    step "$tool" env KERNELS_CUDA_POOL=off compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$gpu/devices" --skip emulated --skip memory --test-threads 1
  done
else
  echo "compute-sanitizer is not installed: skipped"
fi

# main_job NAME FLAGS...: its test accuracy.
main_job() {
  name=$1
  shift
  "$gpu/finetune" train --model "$gpu/model" --train "$gpu/data/train.csv" \
    --validation "$gpu/data/validation.csv" --test "$gpu/data/test.csv" --output "$out/run-$name" --overwrite \
    --epochs 3 --batch-size 32 --learning-rate 5e-5 --seed 0 "$@" >"$out/train-$name.log" 2>&1 || failed=1
  sed -n 's/^test .* accuracy \([0-9.]*\).*/\1/p' "$out/train-$name.log"
}
if [ -d "$gpu/model" ]; then
  for precision in f32 bf16; do
    card=$(main_job "cuda-$precision" --device cuda --precision "$precision")
    host=$(main_job "cpu-$precision" --device cpu --precision "$precision")
    echo "main job, $precision: card $card, CPU $host"
    awk -v a="$card" -v b="$host" 'BEGIN { exit !(a != "" && b != "" && a - b <= 0.005 && b - a <= 0.005) }' || {
      echo "main job, $precision: FAILED"
      failed=1
    }
  done
fi
exit "$failed"
