// The part of the CUDA driver's interface (cuda.h) that is emulated, and what the files behind it share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#define EXPORT extern "C" __attribute__((visibility("default")))

enum CUresult : int {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_IMAGE = 200,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_FILE_NOT_FOUND = 301,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_NOT_SUPPORTED = 801,
};

using CUdevice = int;
using CUdeviceptr = unsigned long long;

namespace emulator {
struct Context;
struct Stream;
struct Event;
struct Module;
struct Function;
}  // namespace emulator

using CUcontext = emulator::Context*;
using CUstream = emulator::Stream*;
using CUevent = emulator::Event*;
using CUmodule = emulator::Module*;
using CUfunction = emulator::Function*;

struct CUuuid {
  char bytes[16];
};

namespace emulator {

struct Context {
  int device;
  int retained;
};

constexpr int MAX_GPUS = 16;
constexpr int MULTIPROCESSORS = 4;
constexpr int THREADS_PER_MULTIPROCESSOR = 2048;
constexpr int BLOCKS_PER_MULTIPROCESSOR = 32;
constexpr int SHARED_DEFAULT = 48 * 1024;  // what a launch may ask for without cuFuncSetAttribute
constexpr int SHARED_RESERVED = 1024;      // of each block, for the system

// Device (device.cpp): what the environment asks for, read once.
int gpu_count();
int capability();  // 80 or 90
bool runs_kernels();  // else a GPU does nothing but take and give what the host copies: the time is the host's
size_t gpu_memory();
int shared_opt_in();
int shared_per_multiprocessor();
Context* current_context();

// Memory (memory.cpp): a living allocation holds all of [pointer, pointer + bytes).
bool range_is_alive(CUdeviceptr pointer, size_t bytes);
void add_range(CUdeviceptr pointer, size_t bytes);  // variables of modules
void remove_ranges(CUdeviceptr start, size_t bytes);

// One lock for all that the library keeps; launches hold it, too.
std::recursive_mutex& library_lock();
using Lock = std::lock_guard<std::recursive_mutex>;

}  // namespace emulator
