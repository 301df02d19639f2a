#!/bin/sh
# leave_out.sh OUT PROGRAM [FILE...]: leaves out each barrier, fence and wait of the kernels in turn, and says whether
# the detector of races notices. OUT is as build.sh makes it, PROGRAM the tests `devices`; FILEs are sources of kernels,
# such as mma.cu. All of them take an hour or two.
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "${1:?usage: leave_out.sh OUT PROGRAM [FILE...]}" && pwd) || exit 1
program=${2:?usage: leave_out.sh OUT PROGRAM [FILE...]}
shift 2
wanted=" $* "
kernels=$here/../../kernels/src
whole=$out/kernels-thread broken=$out/kernels-broken
export EMULATOR_SANITIZE=thread
waits='__sync(threads|warp)\(|wait_for_(copies|stores)<|commit_copies\(\);|show_to_engine\(\);'
waits="$waits|barrier_wait\(|wgmma_(wait|wait_all|fence)|__threadfence"

# tests CACHE CAPABILITY FILTERS...: what the tests say
tests() {
  export KERNELS_CUDA_CACHE="$1" EMULATED_CAPABILITY="$2"
  shift 2
  timeout 900 "$here/run.sh" "$out" "$program" --ignored "$@" 2>&1
}

# each FILE NAME CACHED CAPABILITY FILTERS...: of a source in the repository, which is compiled under NAME, and whose
# compiled files begin with CACHED; $before is the number of lines that the program puts before it
before=0
each() {
  file=$1 name=$2 cached=$3 capability=$4
  shift 4
  case $wanted in "  " | *" $(basename "$file") "*) ;; *) return ;; esac
  if ! tests "$whole" "$capability" "$@" >"$out/report"; then
    echo "$file: the tests fail with nothing left out"; cat "$out/report"; exit 1
  fi
  grep -nE "$waits" "$kernels/$file" | while IFS=: read -r line text; do
    rm -rf "$broken"
    cp -r "$whole" "$broken"
    rm -f "$broken/$cached"*
    EMULATOR_OMIT=$name:$((line + before)) tests "$broken" "$capability" "$@" >"$out/report"
    passed=$?
    if grep -q 'a race on' "$out/report"; then verdict=race
    elif [ $passed = 0 ]; then verdict="NOT NOTICED"
    else verdict="fails, without a race"; fi
    echo "$verdict: $file:$line:$(echo "$text" | tr -s ' ')"
  done
}

each matmul/cuda/tiled.cu matmul_tiled.cu matmul_tiled 8.0 matmul::the_products
each matmul/cuda/mma.cu matmul_mma.cu matmul_mma 8.0 matmul::the_products
each matmul/cuda/product.cuh product.cuh matmul_ 8.0 matmul::the_products
each matmul/cuda/wgmma.cu matmul_wgmma.cu matmul_wgmma 9.0 matmul::the_products matmul::tiles_of
each attention/cuda/plain.cu attention_plain.cu attention_plain 8.0 attention::f32_equals
each attention/cuda/square.cuh square.cuh attention_plain 8.0 attention::f32_equals attention_by_distance::f32
for file in flash.cu flash_backward.cu; do
  each attention/cuda/$file attention_$file attention_flash 8.0 attention::bf16_equals
done
each attention/cuda/fragments.cuh fragments.cuh attention_flash 8.0 attention::bf16_equals
# The gradients of scores that its warps share.
before=1
each attention/cuda/flash_backward.cu attention_flash_backward_products.cu attention_flash_backward_products 8.0 \
  attention_by_distance::bf16_products
before=0
for op in add_norm embedding layer_norm pooling reduce; do each $op/$op.cu $op.cu $op 8.0 $op::; done
each cuda/common.cuh common.cuh "" 8.0 layer_norm:: softmax:: cross_entropy::
