#!/bin/sh
# prepare.sh [MODEL DATA [STEP.PY]]: builds what run.sh and bench.sh need on a machine with a GPU and without Rust, into
# target/gpu: the tests of the GPU, the benchmark of the kernels, the program. With a model folder and a folder of
# train.csv, validation.csv and test.csv (sst2, say), it takes these along for the main job; where $PYTHON (python3)
# has PyTorch and safetensors, the weights are rounded to bf16, which halves the way. STEP.PY is the other side of
# bench.sh's training steps. Where install_tools.sh has put NVRTC, kernels are compiled here for GPUs of $CAPABILITY
# (9.0), which saves the other side about a minute. target/gpu.tar.xz is all of it, to be unpacked in target there (tar
# xJf; where xz is missing, python3 -m tarfile -e).
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$root/target/gpu
model=${1:+$(cd "$1" && pwd)}
data=${1:+$(cd "${2:?usage: prepare.sh [MODEL DATA [STEP.PY]]}" && pwd)}
step=${3:+$(cd "$(dirname "$3")" && pwd)/$(basename "$3")}
if [ -n "$step" ] && [ ! -f "$step" ]; then
  echo "prepare.sh: $step: no such file" >&2
  exit 1
fi
cd "$root"
rm -rf "$out" "$out.tar.gz" "$out.tar.xz"
mkdir -p "$out"

# The newest executable that cargo reports for a target of that kind.
built() { cargo "$@" --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1; }

strip_to() { strip -o "$out/$2" "$1"; }

strip_to "$(built test --release -p tests --test devices --no-run)" devices
strip_to "$(built bench -p kernels --bench cuda --no-run)" kernels
strip_to "$(built build --release -p finetune-cli)" finetune
tools=$root/target/cuda-tools
if [ -d "$tools" ]; then
  LD_LIBRARY_PATH=$tools/lib cargo run --release -p kernels --example precompile_cuda -- \
    "${CAPABILITY:-9.0}" "$out/compiled"
fi
if [ -n "$model" ]; then
  mkdir "$out/model" "$out/data"
  cp "$model"/*.json "$model"/*.safetensors "$out/model/"
  if [ -e "$model/vocab.txt" ]; then cp "$model/vocab.txt" "$out/model/"; fi
  cp "$data"/*.csv "$out/data/"
  chmod u+w "$out"/model/* "$out"/data/*
  if "${PYTHON:-python3}" -c 'import safetensors.torch' 2>/dev/null; then
    "${PYTHON:-python3}" - "$out/model/model.safetensors" <<'PYTHON'
import sys
import torch
from safetensors.torch import load_file, save_file

weights = load_file(sys.argv[1])
rounded = {k: v.bfloat16() if v.is_floating_point() else v for k, v in weights.items()}
save_file(rounded, sys.argv[1], metadata={"format": "pt"})
PYTHON
  else
    echo "${PYTHON:-python3} has no safetensors with PyTorch: the weights stay as they are"
  fi
fi
if [ -n "$step" ]; then cp "$step" "$out/step.py"; fi
# A fifth smaller than by gzip.
tar cJf "$out.tar.xz" -C "$root/target" gpu
du -sh "$out" "$out.tar.xz"
