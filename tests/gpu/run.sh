#!/bin/sh
# run.sh [tests|sanitizer|job]...: whether the kernels are right on the GPU of this machine; all three without
# arguments. Needs the driver, NVRTC and what prepare.sh built, nothing else.
#
#   tests      every op, whole models and training against the CPU (tests/tests/devices); then the models once more on
#              each rung of the matmul ladder that the GPU would not choose
#   sanitizer  the same under compute-sanitizer, where that is installed: memcheck, and for the kernels with shared
#              memory racecheck and synccheck, which take longest
#   job        if prepare.sh was given a model and data, the main job on the GPU and on the CPU: accuracies within half
#              a point
#
# What the steps say goes to $OUT/log.tar.gz after each of them ($OUT is target/gpu unless it is set). A step that takes
# longer than $LIMIT seconds (300) has failed: a kernel that waits for what never comes would wait forever.
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/gpu/common.sh"
stages=${*:-tests sanitizer job}
# shellcheck disable=SC2086
check_stages 'tests sanitizer job' $stages
log=$gpu/log
mkdir -p "$log"
cd "$root" || exit 1
export FINETUNE_ROOT=$root RUST_BACKTRACE=0
failed=0

# step NAME COMMAND...: runs it, keeps what it says, and says how it went.
step() {
  name=$1
  shift
  began=$(date +%s)
  if in_time "$@" >"$log/$name.log" 2>&1; then result=passed; else result=FAILED; failed=1; fi
  printf '%-22s %s in %d s  %s\n' "$name" "$result" $(($(date +%s) - began)) \
    "$(grep -E '^test result|ERROR SUMMARY|RACECHECK SUMMARY' "$log/$name.log" | tail -n 1)"
  tar czf "$out/log.tar.gz" -C "$gpu" --exclude 'log/run-*' log
}

# The products first: what hangs or is wrong there would be so in all models.
run_tests() {
  step matmul "$gpu/devices" --ignored matmul linear
  step devices "$gpu/devices" --ignored --nocapture
  for rung in naive tiled mma; do
    step "devices-$rung" env KERNELS_CUDA_MATMUL="$rung" "$gpu/devices" --ignored linear model
  done
}

# check TOOL FILTER...
check() {
  tool=$1
  shift
  step "$tool" env KERNELS_CUDA_POOL=off compute-sanitizer --tool "$tool" --error-exitcode 1 \
    "$gpu/devices" --ignored "$@" --test-threads 1
}

run_sanitizer() {
  if ! command -v compute-sanitizer >/dev/null; then
    echo "compute-sanitizer is not installed: skipped"
    return
  fi
  # Each array in a block of its own, so that its end is seen.
  check memcheck --skip memory --skip program
  for tool in racecheck synccheck; do
    check "$tool" matmul linear attention add_norm layer_norm embedding reduce softmax cross_entropy
  done
}

# main_job NAME FLAGS...
main_job() {
  name=$1
  shift
  step "train-$name" "$gpu/finetune" train --model "$gpu/model" --train "$gpu/data/train.csv" \
    --validation "$gpu/data/validation.csv" --test "$gpu/data/test.csv" --output "$log/run-$name" --overwrite \
    --epochs 3 --batch-size 32 --learning-rate 5e-5 --seed 0 "$@"
}

accuracy() { sed -n 's/^test .* accuracy \([0-9.]*\).*/\1/p' "$log/train-$1.log"; }

run_job() {
  if [ ! -d "$gpu/model" ]; then
    echo "prepare.sh was given no model: the main job is skipped"
    return
  fi
  for precision in f32 bf16; do
    main_job "cuda-$precision" --device cuda --precision "$precision"
    main_job "cpu-$precision" --device cpu --precision "$precision"
    gpu_accuracy=$(accuracy "cuda-$precision") host=$(accuracy "cpu-$precision")
    echo "main job, $precision: GPU $gpu_accuracy, CPU $host"
    awk -v a="$gpu_accuracy" -v b="$host" 'BEGIN { exit !(a != "" && b != "" && a - b <= 0.005 && b - a <= 0.005) }' || {
      echo "main job, $precision: FAILED"
      failed=1
    }
  done
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader || echo "no nvidia-smi"
for stage in $stages; do "run_$stage"; done
exit "$failed"
