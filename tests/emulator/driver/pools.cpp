// The default pool of each GPU. Memory goes back to the host at once, so a pool is a number to remember.
#include "api.h"

namespace emulator {
namespace {

struct Pool {
  unsigned long long release_threshold;
};

Pool pools[MAX_GPUS];
constexpr int RELEASE_THRESHOLD = 4;  // of CUmemPool_attribute

CUresult pool_of(Pool** pool, CUdevice device) {
  if (device < 0 || device >= gpu_count()) return CUDA_ERROR_INVALID_DEVICE;
  return *pool = &pools[device], CUDA_SUCCESS;
}

}  // namespace
}  // namespace emulator

using namespace emulator;

EXPORT CUresult cuDeviceGetDefaultMemPool(Pool** pool, CUdevice device) { return pool_of(pool, device); }
EXPORT CUresult cuDeviceGetMemPool(Pool** pool, CUdevice device) { return pool_of(pool, device); }
EXPORT CUresult cuMemPoolTrimTo(Pool*, size_t) { return CUDA_SUCCESS; }

EXPORT CUresult cuMemPoolSetAttribute(Pool* pool, int attribute, void* value) {
  if (attribute != RELEASE_THRESHOLD) return CUDA_ERROR_NOT_SUPPORTED;
  return pool->release_threshold = *static_cast<unsigned long long*>(value), CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolGetAttribute(Pool* pool, int attribute, void* value) {
  if (attribute != RELEASE_THRESHOLD) return CUDA_ERROR_NOT_SUPPORTED;
  return *static_cast<unsigned long long*>(value) = pool->release_threshold, CUDA_SUCCESS;
}
