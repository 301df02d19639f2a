// CUDA C for a C++ compiler: included before every kernel source that the emulated NVRTC compiles.
//
// It includes no system header, as NVRTC has none: what a kernel uses without declaring it must be here.
#pragma once

#include "runtime.h"

typedef __SIZE_TYPE__ size_t;

// The two unknown attributes are marks for the scanner of kernels (compiler/kernel_scan.cpp), which reads the
// preprocessed text and so also finds kernels that a macro writes.
#define __global__ __attribute__((emulator_kernel))
#define __launch_bounds__(...) __attribute__((emulator_bounds(__VA_ARGS__)))
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
// Blocks run one at a time, so one copy for the whole module is enough.
#define __shared__ static

extern "C" __attribute__((visibility("default"))) ::emulator::Runtime* emulator_runtime;
::emulator::Runtime* emulator_runtime = nullptr;

#include "watch.h"

// By way of functions, so that these reads are not watched.
namespace emulator {
EMULATOR_UNSEEN uint3 thread_index() { return emulator_runtime->current->index; }
EMULATOR_UNSEEN uint3 block_index() { return emulator_runtime->block_index; }
EMULATOR_UNSEEN uint3 block_dim() { return emulator_runtime->block_dim; }
EMULATOR_UNSEEN uint3 grid_dim() { return emulator_runtime->grid_dim; }
EMULATOR_UNSEEN unsigned linear_thread() { return emulator_runtime->current->linear; }
}  // namespace emulator
#define threadIdx (::emulator::thread_index())
#define blockIdx (::emulator::block_index())
#define blockDim (::emulator::block_dim())
#define gridDim (::emulator::grid_dim())
constexpr int warpSize = 32;

#include "vector_types.h"
#include "tensor_map.h"
#include "block.h"
#include "warp.h"
#include "atomics.h"
#include "cuda_math.h"
#include "kernel_call.h"
