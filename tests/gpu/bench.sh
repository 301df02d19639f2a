#!/bin/sh
# bench.sh [ROUNDS]: speed on the card of this machine; builds nothing. Needs what prepare.sh built, and a
# python3 with PyTorch for the other side.
#
#   1. kernels: copies, elementwise ops, attention and matrix products of ours, then PyTorch's (cuBLASLt and
#      FlashAttention), as JSON lines
#   2. training steps without padding: ours and the STEP.PY that prepare.sh was given (a program with the
#      flags of `finetune bench step` and --compile) in turn, ROUNDS times (5)
#   3. epochs of the data that prepare.sh was given, at batch 32 and 256, ours and torch_epoch.py's in turn; the second of
#      each run is the one to compare
root=$(cd "$(dirname "$0")/../.." && pwd)
gpu=$root/target/gpu
rounds=${1:-5}
peer=$gpu/step.py
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/cuda/lib64"

"$gpu/kernels"
python3 "$root/tests/gpu/torch_kernels.py"
for shape in 'base 32 512' 'base 256 128' 'minilm 256 128'; do
  # shellcheck disable=SC2086
  set -- $shape
  for _ in $(seq "$rounds"); do
    "$gpu/finetune" bench step --shape "$1" --batch "$2" --length "$3" --device cuda --precision bf16 --steps 20
    [ ! -e "$peer" ] || python3 "$peer" --shape "$1" --batch "$2" --length "$3" --device cuda --precision bf16 \
      --compile --steps 20
  done
done
if [ -d "$gpu/model" ]; then
  for batch in 32 256; do
    for _ in $(seq "$rounds"); do
      "$gpu/finetune" bench train --model "$gpu/model" --train "$gpu/data/train.csv" --eval "$gpu/data/test.csv" \
        --device cuda --precision bf16 --epochs 2 --batch-size "$batch"
      python3 "$root/tests/gpu/torch_epoch.py" --model "$gpu/model" --train "$gpu/data/train.csv" \
        --eval "$gpu/data/test.csv" --batch-size "$batch"
    done
  done
fi
