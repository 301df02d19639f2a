#!/bin/sh
# bench.sh [warm|kernels|steps|epochs]...: speed on the GPU of this machine, all without arguments; builds nothing.
# Needs what prepare.sh built, and a python3 with PyTorch for the other side.
#
#   warm     compiles PyTorch's programs, all at once, which it keeps on disk: each takes more than a minute
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
stages=${*:-warm kernels steps epochs}
# shellcheck disable=SC2086
check_stages 'warm kernels steps epochs' $stages
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

shapes='base,32,512 base,256,128 minilm,256,128'

# flags SHAPE,BATCH,LENGTH
flags() { echo "$1" | sed 's/\(.*\),\(.*\),\(.*\)/--shape \1 --batch \2 --length \3 --device cuda --precision bf16/'; }

bench_warm() {
  for shape in $shapes; do
    # shellcheck disable=SC2046
    [ ! -e "$gpu/step.py" ] || in_time python3 "$gpu/step.py" $(flags "$shape") --steps 1 --compile >/dev/null &
  done
  if [ -d "$gpu/model" ]; then
    head -n 300 "$gpu/data/train.csv" >"$gpu/few.csv"
    in_time python3 "$root/tests/gpu/torch_epoch.py" --model "$gpu/model" --train "$gpu/few.csv" \
      --validation "$gpu/few.csv" --epochs 1 >/dev/null &
  fi
  wait
}

bench_steps() {
  [ -e "$gpu/step.py" ] || echo "prepare.sh was given no STEP.PY: steps of PyTorch are skipped" >&2
  for shape in $shapes; do
    for _ in $rounds; do
      # shellcheck disable=SC2046
      try "$gpu/finetune" bench step $(flags "$shape") --steps 20
      # shellcheck disable=SC2046
      [ ! -e "$gpu/step.py" ] || try python3 "$gpu/step.py" $(flags "$shape") --steps 20 --compile
    done
  done
}

bench_epochs() {
  if [ ! -d "$gpu/model" ]; then
    echo "prepare.sh was given no model: epochs are skipped" >&2
    return
  fi
  for batch in 32 256; do
    for _ in $rounds; do
      set -- --model "$gpu/model" --train "$gpu/data/train.csv" --validation "$gpu/data/test.csv" --batch-size "$batch"
      try "$gpu/finetune" bench train "$@" --device cuda --precision bf16 --epochs 2
      try python3 "$root/tests/gpu/torch_epoch.py" "$@"
    done
  done
}

for stage in $stages; do "bench_$stage"; done | tee "$out/bench.jsonl"
[ ! -e "$failures" ]
