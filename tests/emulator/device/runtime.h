// What a compiled kernel module and the driver library know of each other.
//
// The module is a shared object of its own, loaded privately, so it cannot see the driver's symbols. The driver
// hands it one `Runtime` when it loads it; the module exports a table of its kernels.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN 1
#else
#define EMULATOR_ASAN 0
#endif

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emulator {

using Size = decltype(sizeof(0));

// The part of a thread of the block that its kernel reads.
struct ThreadView {
  uint3 index;      // threadIdx
  unsigned linear;  // x + y * Dx + z * Dx * Dy: lane and warp follow from it
  unsigned unwatched;  // more than 0 while it does the emulator's work (watch.h)
  const char *stack, *stack_end;
};

// Runs once for a complete warp or warpgroup. `lanes[i]` is what lane i brought, null for one that is absent.
using CollectiveBody = void (*)(void* function, void* const* lanes);

enum class Access : unsigned char { Read, Write, Atomic };

// What touches memory: a thread; its copies in the background (cp.async); the products of its warpgroup (wgmma); the
// copy engine (TMA), whose copies come in any order but for those of one barrier, which come before its phase ends.
struct Agent {
  enum Kind : unsigned char { Thread, Copies, Products, Engine } kind;
  const void* barrier = nullptr;  // of the copy engine
  constexpr Agent(Kind kind, const void* barrier = nullptr) : kind(kind), barrier(barrier) {}
};

// For the detector of races: see watch.h.
struct RaceHooks {
  void (*access_at)(const void* at, Size bytes, Access kind, const void* place);  // `place` is in the code
  void (*access)(const void* at, Size bytes, Access kind);
  void (*access_by)(Agent agent, const void* at, Size bytes, Access kind);
  unsigned (*begins)(Agent agent);
  void (*finished)(Agent agent, unsigned number);
  void (*order_lanes)(unsigned mask);
  void (*arrives_at)(const void* barrier);
  void (*lands_at)(const void* barrier);
  void (*phase_ends)(const void* barrier);
  void (*has_awaited)(const void* barrier);
  void (*fence)();
};

struct Runtime {
  ThreadView* current;
  uint3 block_index, block_dim, grid_dim;
  unsigned block_number;  // of the blocks of all launches
  void* dynamic_shared;
  Size dynamic_shared_bytes;

  // bar.sync id, threads; `threads == 0` means all that live. Returns how many brought a true `predicate`.
  unsigned (*barrier)(unsigned id, unsigned threads, unsigned predicate);
  void (*barrier_arrive)(unsigned id, unsigned threads);
  // `width` is 32 (a warp, lanes by `mask`) or 128 (a warpgroup).
  void (*collective)(unsigned width, unsigned mask, void* mine, CollectiveBody body, void* function);
  unsigned (*living_lanes)();
  void (*yield)();
  void (*fail)(const char* why);  // does not return
  unsigned (*shared_handle)(const void* pointer);
  void* (*shared_pointer)(unsigned handle);
  const RaceHooks* races;
};

struct KernelEntry {
  const char* name;
  void (*call)(void** params);
  unsigned max_threads;  // of __launch_bounds__; 0 without
};

// Exported by a module under these names:
//   emulator_runtime  Runtime*, set by the driver
//   emulator_kernels  KernelEntry[], the last with a null name
}  // namespace emulator
