// Memory of the GPUs: one allocation of the host for each, of exactly the size that was asked for.
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "api.h"

namespace emulator {
namespace {

constexpr int VARIABLE = -1;  // in place of a GPU: a variable of a module

struct Allocation {
  size_t bytes;
  int device;
};

// Never destroyed, as programs may free memory while they exit.
auto& allocations = *new std::map<CUdeviceptr, Allocation>;
auto& host_allocations = *new std::set<void*>;
size_t used[MAX_GPUS];

CUresult allocate(CUdeviceptr* result, size_t bytes) {
  Lock lock(library_lock());
  Context* context = current_context();
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  size_t free_bytes = gpu_memory() - used[context->device];
  void* memory = nullptr;
  if (bytes > free_bytes || posix_memalign(&memory, 256, bytes) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
  // NaN in every float format: what is read before it is written shows.
  if (runs_kernels()) std::memset(memory, 0xff, bytes);
  *result = reinterpret_cast<CUdeviceptr>(memory);
  allocations[*result] = {bytes, context->device};
  used[context->device] += bytes;
  return CUDA_SUCCESS;
}

CUresult release(CUdeviceptr pointer) {
  Lock lock(library_lock());
  auto found = allocations.find(pointer);
  if (found == allocations.end() || found->second.device == VARIABLE) return CUDA_ERROR_INVALID_VALUE;
  used[found->second.device] -= found->second.bytes;
  allocations.erase(found);
  std::free(reinterpret_cast<void*>(pointer));
  return CUDA_SUCCESS;
}

void* host(CUdeviceptr pointer) { return reinterpret_cast<void*>(pointer); }

CUresult copy(void* to, const void* from, size_t bytes, bool alive) {
  if (!alive) return CUDA_ERROR_INVALID_VALUE;
  if (bytes) std::memmove(to, from, bytes);
  return CUDA_SUCCESS;
}

template <class T> CUresult fill(CUdeviceptr to, T value, size_t count) {
  if (to % sizeof(T) != 0 || !range_is_alive(to, count * sizeof(T))) return CUDA_ERROR_INVALID_VALUE;
  if (!runs_kernels()) return CUDA_SUCCESS;
  for (size_t i = 0; i < count; ++i) static_cast<T*>(host(to))[i] = value;
  return CUDA_SUCCESS;
}

}  // namespace

bool range_is_alive(CUdeviceptr pointer, size_t bytes) {
  if (bytes == 0) return true;
  Lock lock(library_lock());
  auto next = allocations.upper_bound(pointer);
  if (next == allocations.begin()) return false;
  auto& [start, allocation] = *std::prev(next);
  size_t offset = pointer - start;
  return offset <= allocation.bytes && bytes <= allocation.bytes - offset;
}

void add_range(CUdeviceptr pointer, size_t bytes) { allocations[pointer] = {bytes, VARIABLE}; }

void remove_ranges(CUdeviceptr start, size_t bytes) {
  allocations.erase(allocations.lower_bound(start), allocations.lower_bound(start + bytes));
}

}  // namespace emulator

using namespace emulator;

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* pointer, size_t bytes) {
  return bytes == 0 ? CUDA_ERROR_INVALID_VALUE : allocate(pointer, bytes);
}
EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer) { return pointer == 0 ? CUDA_SUCCESS : release(pointer); }

// Of nothing, the stream-ordered form gives a null pointer; cudarc relies on it.
EXPORT CUresult cuMemAllocAsync(CUdeviceptr* pointer, size_t bytes, CUstream) {
  if (bytes == 0) return *pointer = 0, CUDA_SUCCESS;
  return allocate(pointer, bytes);
}
EXPORT CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream) { return cuMemFree_v2(pointer); }

EXPORT CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  Lock lock(library_lock());
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  *total = gpu_memory();
  *free_bytes = gpu_memory() - used[current_context()->device];
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
  Lock lock(library_lock());
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (posix_memalign(pointer, 4096, bytes) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
  host_allocations.insert(*pointer);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void* pointer) {
  Lock lock(library_lock());
  if (host_allocations.erase(pointer) == 0) return CUDA_ERROR_INVALID_VALUE;
  std::free(pointer);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  return copy(host(to), from, bytes, range_is_alive(to, bytes));
}
EXPORT CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  return copy(to, host(from), bytes, range_is_alive(from, bytes));
}
EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  bool alive = range_is_alive(to, bytes) && range_is_alive(from, bytes);
  return copy(host(to), host(from), runs_kernels() ? bytes : 0, alive);
}
EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream) {
  return cuMemcpyHtoD_v2(to, from, bytes);
}
EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream) {
  return cuMemcpyDtoH_v2(to, from, bytes);
}
EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream) {
  return cuMemcpyDtoD_v2(to, from, bytes);
}
EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t bytes, CUstream) {
  return cuMemcpyDtoD_v2(to, from, bytes);
}

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) { return fill(to, value, count); }
EXPORT CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) { return fill(to, value, count); }
EXPORT CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) { return fill(to, value, count); }
EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream) {
  return fill(to, value, count);
}
EXPORT CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream) {
  return fill(to, value, count);
}
EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream) {
  return fill(to, value, count);
}
