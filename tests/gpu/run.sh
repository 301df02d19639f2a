#!/bin/sh
# run.sh [tests|memcheck|synccheck|racecheck|job]...: whether the kernels are right on the GPU of this machine; all of
# it without arguments. Needs the driver, NVRTC and what prepare.sh built, nothing else.
#
#   tests      every op, whole models and training against the CPU (tests/tests/devices); then the models once more on
#              each rung of the matmul ladder that the GPU would not choose
#   memcheck, synccheck, racecheck
#              the ops and models under this tool of compute-sanitizer, if that is installed, each test in a process of
#              its own, $JOBS of them (as many as there are processors) at a time
#   job        if prepare.sh was given a model and data, the main job on the GPU and on the CPU: accuracies within half
#              a point
#
# What the steps say goes to $OUT/log.tar.gz after each of them ($OUT is target/gpu unless it is set). A step that takes
# longer than $LIMIT seconds (300) has failed: a kernel that waits for what never comes would wait forever.
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/gpu/common.sh"
stages=${*:-tests memcheck synccheck racecheck job}
# shellcheck disable=SC2086
check_stages 'tests memcheck synccheck racecheck job' $stages
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
    "$(grep '^test result' "$log/$name.log" | tail -n 1)"
  tar czf "$out/log.tar.gz" -C "$gpu" --exclude 'log/run-*' log
}

# The products first: what hangs or is wrong there would be so in all models.
run_tests() {
  step matmul "$gpu/devices" --ignored matmul linear
  step devices "$gpu/devices" --ignored --nocapture
  for rung in naive tiled mma; do
    # Launches are counted on the rung that the GPU chooses.
    step "devices-$rung" env KERNELS_CUDA_MATMUL="$rung" "$gpu/devices" --ignored linear model --skip few_launches
  done
}

# tests_named FILTER...: the names of the ignored tests that these choose.
tests_named() { "$gpu/devices" --ignored --list "$@" | sed -n 's/: test$//p'; }

# check TOOL: all tests but those of memory, which fill it, and of whole commands. Each array is in a block of its own,
# so that its end is seen. Whole models come last: what stops at the time limit has checked the ops.
check() {
  if ! command -v compute-sanitizer >/dev/null; then
    echo "$1: skipped, compute-sanitizer is not installed"
    return
  fi
  {
    tests_named --skip model:: --skip memory:: --skip program:: --skip runs::
    tests_named model::
  } >"$log/$1.tests"
  export gpu
  # shellcheck disable=SC2016
  step "$1" xargs -a "$log/$1.tests" -n 1 -P "${JOBS:-$(nproc)}" sh -c '
    said=$(KERNELS_CUDA_POOL=off compute-sanitizer --tool "$0" --error-exitcode 1 \
      "$gpu/devices" --ignored --exact "$1" 2>&1) || { printf "FAILED %s\n%s\n" "$1" "$said"; exit 1; }
    echo "passed $1 $(echo "$said" | sed -n "s/^=* *\(.*SUMMARY\)/\1/p")"' "$1"
  echo "  $(grep -c ^passed "$log/$1.log") of $(wc -l <"$log/$1.tests") tests passed"
}

run_memcheck() { check memcheck; }
run_synccheck() { check synccheck; }
run_racecheck() { check racecheck; }

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
