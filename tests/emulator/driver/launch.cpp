// Launches: the limits that a GPU checks, then the scheduler.
#include <algorithm>
#include <cstdio>
#include <string>

#include "modules.h"

namespace emulator {
namespace {

// The numbers are those of CUfunction_attribute.
constexpr int MAX_THREADS_PER_BLOCK = 0, BINARY_VERSION = 6, MAX_DYNAMIC_SHARED = 8, CARVEOUT = 9;

bool sizes_are_right(const Function& function, uint3 grid, uint3 block, size_t shared_bytes) {
  if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z) return false;
  if (grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) return false;
  if (block.x > 1024 || block.y > 1024 || block.z > 64) return false;
  if (block.x * block.y * block.z > max_threads(function)) return false;
  return shared_bytes <= static_cast<size_t>(function.max_dynamic_shared);
}

CUresult launch(Function* f, uint3 grid, uint3 block, size_t shared_bytes, void** params) {
  Lock lock(library_lock());
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (!f) return CUDA_ERROR_INVALID_HANDLE;
  if (!sizes_are_right(*f, grid, block, shared_bytes)) return CUDA_ERROR_INVALID_VALUE;
  if (!runs_kernels()) return CUDA_SUCCESS;
  Module& m = *f->module;
  std::string why;
  Launch what{f->entry->name, f->entry->call, params, grid, block, shared_bytes, m.start, m.bytes, &m.static_shared};
  if (run_grid(what, why)) return CUDA_SUCCESS;
  std::fprintf(stderr, "emulated GPU: %s\n", why.c_str());
  return CUDA_ERROR_LAUNCH_FAILED;
}

// Threads and shared memory limit the blocks of a multiprocessor here; registers are unknown.
int resident_blocks(int threads, size_t shared_bytes) {
  int by_threads = THREADS_PER_MULTIPROCESSOR / std::max(32, (threads + 31) / 32 * 32);
  auto by_shared = static_cast<int>(shared_per_multiprocessor() / (shared_bytes + SHARED_RESERVED));
  return std::min({by_threads, by_shared, BLOCKS_PER_MULTIPROCESSOR});
}

}  // namespace

// The start of CUlaunchConfig.
struct LaunchConfig {
  uint3 grid, block;
  unsigned shared_bytes;
  CUstream stream;
  void* attributes;
  unsigned attribute_count;
};

}  // namespace emulator

using namespace emulator;

EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                               unsigned shared_bytes, CUstream, void** params, void** extra) {
  if (extra) return CUDA_ERROR_NOT_SUPPORTED;  // arguments in one packed buffer
  return launch(f, {gx, gy, gz}, {bx, by, bz}, shared_bytes, params);
}

EXPORT CUresult cuLaunchKernelEx(const LaunchConfig* config, CUfunction f, void** params, void** extra) {
  if (extra || config->attribute_count) return CUDA_ERROR_NOT_SUPPORTED;  // clusters among others
  return launch(f, config->grid, config->block, config->shared_bytes, params);
}

EXPORT CUresult cuFuncGetAttribute(int* value, int attribute, CUfunction f) {
  switch (attribute) {
    case MAX_THREADS_PER_BLOCK: return *value = static_cast<int>(max_threads(*f)), CUDA_SUCCESS;
    case BINARY_VERSION: return *value = capability(), CUDA_SUCCESS;
    case MAX_DYNAMIC_SHARED: return *value = f->max_dynamic_shared, CUDA_SUCCESS;
    default: return CUDA_ERROR_NOT_SUPPORTED;  // registers, static shared memory: unknown to a C++ compiler
  }
}

EXPORT CUresult cuFuncSetAttribute(CUfunction f, int attribute, int value) {
  if (attribute == CARVEOUT) return CUDA_SUCCESS;  // a hint
  if (attribute != MAX_DYNAMIC_SHARED) return CUDA_ERROR_NOT_SUPPORTED;
  if (value < 0 || value > shared_opt_in()) return CUDA_ERROR_INVALID_VALUE;
  return f->max_dynamic_shared = value, CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetCacheConfig(CUfunction, int) { return CUDA_SUCCESS; }  // a hint

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int threads, size_t shared_bytes) {
  if (threads <= 0 || threads > 1024) return CUDA_ERROR_INVALID_VALUE;
  return *blocks = resident_blocks(threads, shared_bytes), CUDA_SUCCESS;
}
EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction f, int threads,
                                                                     size_t shared_bytes, unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, f, threads, shared_bytes);
}
