// Barriers, shared memory and the like: what concerns a thread and its block.
#pragma once

namespace emulator {

inline void* dynamic_shared() { return emulator_runtime->dynamic_shared; }
inline Size dynamic_shared_bytes() { return emulator_runtime->dynamic_shared_bytes; }

// What twins keep for a block. It begins anew in each: one that ends may leave work that nobody waited for.
template <class T> class OfBlock {
  unsigned block = 0;
  T state;

 public:
  T& get() {
    if (block != emulator_runtime->block_number) block = emulator_runtime->block_number, state = T();
    return state;
  }
};

// The 32-bit address of a pointer into shared memory, and back. Sums of addresses are sums of pointers.
inline unsigned shared_handle(const void* pointer) { return emulator_runtime->shared_handle(pointer); }
inline void* shared_pointer(unsigned handle) { return emulator_runtime->shared_pointer(handle); }

// bar.sync id, threads and bar.arrive id, threads. 1 <= id <= 15.
inline void named_barrier(unsigned id, unsigned threads) { emulator_runtime->barrier(id, threads, 0); }
inline void named_barrier_arrive(unsigned id, unsigned threads) { emulator_runtime->barrier_arrive(id, threads); }

// Lets the other threads of the block run: the body of every loop that waits for memory to change.
inline void yield() { emulator_runtime->yield(); }

[[noreturn]] inline void fail(const char* why) {
  emulator_runtime->fail(why);
  __builtin_unreachable();
}

inline unsigned lane() { return linear_thread() % 32; }

}  // namespace emulator

inline void __syncthreads() { emulator_runtime->barrier(0, 0, 0); }
inline int __syncthreads_count(int predicate) { return emulator_runtime->barrier(0, 0, predicate != 0); }
inline int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) != 0; }
inline int __syncthreads_and(int predicate) { return __syncthreads_count(predicate == 0) == 0; }

// One thread of the machine runs all: memory is always in order.
inline void __threadfence() { emulator::fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { emulator::fence(); }

inline void __nanosleep(unsigned) { emulator::yield(); }
[[noreturn]] inline void __trap() { emulator::fail("__trap()"); }
#if defined(__x86_64__)
inline long long clock64() { return static_cast<long long>(__builtin_ia32_rdtsc()); }
#else
inline long long clock64() {
  static long long calls = 0;
  return ++calls;
}
#endif
inline int clock() { return static_cast<int>(clock64()); }

inline size_t __cvta_generic_to_shared(const void* pointer) { return emulator::shared_handle(pointer); }
inline void* __cvta_shared_to_generic(size_t handle) {
  return emulator::shared_pointer(static_cast<unsigned>(handle));
}

template <class T> inline T __ldg(const T* p) { return *p; }
template <class T> inline T __ldcg(const T* p) { return *p; }
template <class T> inline T __ldca(const T* p) { return *p; }
template <class T> inline T __ldcs(const T* p) { return *p; }
template <class T> inline T __ldlu(const T* p) { return *p; }
template <class T> inline T __ldcv(const T* p) { return *p; }
template <class T> inline void __stcs(T* p, T value) { *p = value; }
template <class T> inline void __stcg(T* p, T value) { *p = value; }
template <class T> inline void __stwb(T* p, T value) { *p = value; }
template <class T> inline void __stwt(T* p, T value) { *p = value; }

extern "C" int printf(const char* format, ...);
extern "C" void* memcpy(void* to, const void* from, size_t bytes) noexcept;
extern "C" void* memset(void* to, int value, size_t bytes) noexcept;
#define assert(condition) ((condition) ? (void)0 : ::emulator::fail("assert(" #condition ")"))
