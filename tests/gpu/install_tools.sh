#!/bin/sh
# install_tools.sh [FOLDER]: NVRTC, the headers and ptxas of CUDA 13.0 from Python packages, without a card, a driver or
# root; some 550 MB into FOLDER (target/cuda-tools).
#
# 13.0, because a driver takes the machine code of its own version and earlier ones.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-$root/target/cuda-tools}
[ -x "$folder/bin/ptxas" ] && exit 0
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
python3 -m pip install --quiet --target "$packages" --only-binary=:all: --no-deps \
  'nvidia-cuda-nvrtc==13.0.*' 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-nvcc==13.0.*' \
  'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-cccl==13.0.*'
mkdir -p "$(dirname "$folder")"
mv "$packages/nvidia/cu13" "$folder"
# The names that a program looks for.
for library in "$folder"/lib/libnvrtc*.so.*; do
  ln -sf "$(basename "$library")" "${library%.so.*}.so"
done
