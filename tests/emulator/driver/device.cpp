// GPUs, their properties and their contexts.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "api.h"

// Where the library is loaded with the program itself, leaks at its end are no concern of ours.
EXPORT const char* __asan_default_options() { return "detect_leaks=0:detect_odr_violation=0"; }

namespace emulator {
namespace {

Context contexts[MAX_GPUS];
thread_local Context* current = nullptr;
bool initialized = false;

double environment_number(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::atof(text) : otherwise;
}

bool is_gpu(CUdevice device) { return device >= 0 && device < gpu_count(); }

struct Attribute {
  int number, value;
};

// The numbers are those of CUdevice_attribute.
const Attribute FIXED_ATTRIBUTES[] = {
    {1, 1024}, {2, 1024}, {3, 1024}, {4, 64},     // threads of a block, its x, y, z
    {5, 2147483647}, {6, 65535}, {7, 65535},      // x, y, z of the grid
    {8, SHARED_DEFAULT}, {9, 65536}, {10, 32},    // shared memory per block, constant memory, warp size
    {12, 65536}, {13, 1000000},                   // registers per block, kHz
    {16, MULTIPROCESSORS}, {18, 0}, {31, 1}, {32, 0},  // integrated, concurrent kernels, ECC
    {34, 0}, {36, 1000000}, {37, 4096},           // PCI device, memory kHz, bus width
    {38, 50 << 20}, {39, THREADS_PER_MULTIPROCESSOR}, {40, 1}, {41, 1},  // L2, copy engines, unified addresses
    {50, 0}, {82, 65536}, {83, 0}, {89, 0},       // PCI domain, registers, managed memory
    {95, 0}, {96, 0}, {101, 0},                   // cooperative launches
    {106, BLOCKS_PER_MULTIPROCESSOR}, {108, 0}, {111, SHARED_RESERVED},
    {115, 1}, {120, 0},                           // memory pools, clusters
};

bool find_attribute(int number, CUdevice device, int& value) {
  switch (number) {
    case 33: value = device + 1; return true;  // PCI bus
    case 75: value = capability() / 10; return true;
    case 76: value = capability() % 10; return true;
    case 81: value = shared_per_multiprocessor(); return true;
    case 97: value = shared_opt_in(); return true;
    case 127: value = capability() >= 90; return true;  // tensor maps
  }
  for (const Attribute& a : FIXED_ATTRIBUTES)
    if (a.number == number) return value = a.value, true;
  return false;
}

}  // namespace

int gpu_count() {
  static const int count = std::clamp(static_cast<int>(environment_number("EMULATED_GPUS", 1)), 0, MAX_GPUS);
  return count;
}

int capability() {
  static const int value = static_cast<int>(environment_number("EMULATED_CAPABILITY", 9.0) * 10 + 0.5);
  return value;
}

bool runs_kernels() {
  static const char* const value = std::getenv("EMULATOR_KERNELS");
  static const bool runs = !value || std::strcmp(value, "skip") != 0;
  return runs;
}

size_t gpu_memory() {
  static const auto bytes = static_cast<size_t>(environment_number("EMULATED_MEMORY", 4294967296.0));
  return bytes;
}

// Of an A100 and of an H100.
int shared_opt_in() { return capability() >= 90 ? 232448 : 166912; }
int shared_per_multiprocessor() { return shared_opt_in() + SHARED_RESERVED; }

Context* current_context() { return current; }

std::recursive_mutex& library_lock() {
  static auto* lock = new std::recursive_mutex;  // never destroyed: programs free memory while they exit
  return *lock;
}

}  // namespace emulator

using namespace emulator;

EXPORT CUresult cuInit(unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (gpu_count() == 0) return CUDA_ERROR_NO_DEVICE;
  initialized = true;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int* version) { return *version = 13000, CUDA_SUCCESS; }

EXPORT CUresult cuDeviceGetCount(int* count) {
  if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
  return *count = gpu_count(), CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
  if (!is_gpu(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  return *device = ordinal, CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  if (!is_gpu(device)) return CUDA_ERROR_INVALID_DEVICE;
  if (length <= 0) return CUDA_ERROR_INVALID_VALUE;
  std::strncpy(name, "Emulated GPU", length);
  name[length - 1] = 0;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  if (!is_gpu(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::memcpy(uuid->bytes, "emulated GPU  ", 16);
  uuid->bytes[15] = static_cast<char>(device);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) { return cuDeviceGetUuid_v2(uuid, device); }

EXPORT CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
  if (!is_gpu(device)) return CUDA_ERROR_INVALID_DEVICE;
  return find_attribute(attribute, device, *value) ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  if (!is_gpu(device)) return CUDA_ERROR_INVALID_DEVICE;
  return *bytes = gpu_memory(), CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  Lock lock(library_lock());
  if (!is_gpu(device)) return CUDA_ERROR_INVALID_DEVICE;
  contexts[device].device = device;
  contexts[device].retained += 1;
  return *context = &contexts[device], CUDA_SUCCESS;
}

// A GPU would free the memory of a context with its last release; here it lives on, for ASan to see no ghosts.
EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  Lock lock(library_lock());
  if (!is_gpu(device)) return CUDA_ERROR_INVALID_DEVICE;
  if (contexts[device].retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
  contexts[device].retained -= 1;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext context) { return current = context, CUDA_SUCCESS; }

EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
  if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
  return *context = current, CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
  if (!current) return CUDA_ERROR_INVALID_CONTEXT;
  return *device = current->device, CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSynchronize() { return current ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT; }

// Flags say how a host waits; it never does.
EXPORT CUresult cuCtxSetFlags(unsigned) { return current ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT; }

EXPORT CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) { return *least = *greatest = 0, CUDA_SUCCESS; }
