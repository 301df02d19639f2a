#!/bin/sh
# bench.sh [kernels|steps|epochs]...: speed on the GPU of this machine, all three without arguments; builds nothing.
# Needs what prepare.sh built, and a python3 with PyTorch for the other side.
#
#   kernels  copies, elementwise ops, attention and matrix products of ours, then PyTorch's (cuBLASLt and
#            FlashAttention)
#   steps    training steps without padding: ours and the STEP.PY that prepare.sh was given (a program with the flags of
#            `finetune bench step` and --compile) in turn, $ROUNDS times (5)
#   epochs   epochs of the data that prepare.sh was given, at batch 32 and 256, ours and torch_epoch.py's in turn; the
#            second of each run is the one to compare
#
# JSON lines, to standard output and to $OUT/bench.jsonl ($OUT is target/gpu unless it is set). A program that fails or
# takes longer than $LIMIT seconds (300) is named on standard error, the others go on, and the script fails.
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/gpu/common.sh"
stages=${*:-kernels steps epochs}
# shellcheck disable=SC2086
check_stages 'kernels steps epochs' $stages
rounds=$(seq "${ROUNDS:-5}")
failures=$gpu/bench.failed
rm -f "$failures"

try() {
  in_time "$@" || {
    echo "FAILED: $*" >&2
    echo "$*" >>"$failures"
  }
}

bench_kernels() {
  try "$gpu/kernels"
  try python3 "$root/tests/gpu/torch_kernels.py"
}

# step SHAPE BATCH LENGTH
step() {
  set -- --shape "$1" --batch "$2" --length "$3" --device cuda --precision bf16 --steps 20
  for _ in $rounds; do
    try "$gpu/finetune" bench step "$@"
    [ ! -e "$gpu/step.py" ] || try python3 "$gpu/step.py" "$@" --compile
  done
}

bench_steps() {
  [ -e "$gpu/step.py" ] || echo "prepare.sh was given no STEP.PY: steps of PyTorch are skipped" >&2
  step base 32 512
  step base 256 128
  step minilm 256 128
}

bench_epochs() {
  if [ ! -d "$gpu/model" ]; then
    echo "prepare.sh was given no model: epochs are skipped" >&2
    return
  fi
  for batch in 32 256; do
    for _ in $rounds; do
      set -- --model "$gpu/model" --train "$gpu/data/train.csv" --eval "$gpu/data/test.csv" --batch-size "$batch"
      try "$gpu/finetune" bench train "$@" --device cuda --precision bf16 --epochs 2
      try python3 "$root/tests/gpu/torch_epoch.py" "$@"
    done
  done
}

for stage in $stages; do "bench_$stage"; done | tee "$out/bench.jsonl"
[ ! -e "$failures" ]
