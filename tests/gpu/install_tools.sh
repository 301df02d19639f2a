#!/bin/sh
# install_tools.sh [FOLDER]: NVRTC and ptxas of CUDA 13.0 from Python packages, without a GPU, a driver or root, into
# FOLDER (target/cuda-tools). Kernels here include no header of the toolkit, so nothing else of it is needed.
#
# 13.0, because a driver takes the code of its own version and earlier ones.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-$root/target/cuda-tools}
if [ -x "$folder/bin/ptxas" ]; then exit 0; fi
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
python=python3
if ! "$python" -m pip --version >/dev/null 2>&1; then
  "$python" -m venv "$packages/venv"
  python=$packages/venv/bin/python3
fi
"$python" -m pip install --quiet --target "$packages/site" --only-binary=:all: --no-deps \
  'nvidia-cuda-nvrtc==13.0.*' 'nvidia-cuda-nvcc==13.0.*'
tools=$packages/site/nvidia/cu13
# The names that a program looks for.
for library in "$tools"/lib/libnvrtc*.so.*; do
  ln -sf "$(basename "$library")" "${library%.so.*}.so"
done
mkdir -p "$(dirname "$folder")"
mv "$tools" "$folder"
