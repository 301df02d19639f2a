// What the detector of races (driver/races.cpp) is told: which memory a kernel touches, and what puts that in order.
//
// With -fsanitize=thread the compiler calls __tsan_read4 and the like before each access to memory. They are here, in
// place of those of its own library, which knows threads of the machine and not blocks, warps and engines.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define EMULATOR_RACES 1
#define EMULATOR_UNSEEN __attribute__((no_sanitize("thread"), noinline))
// Inlined, a report names the line of the kernel and not of the twin.
#define EMULATOR_TWIN inline __attribute__((always_inline))
#else
#define EMULATOR_RACES 0
#define EMULATOR_UNSEEN inline
#define EMULATOR_TWIN inline
#endif

namespace emulator {

// While one lives, the accesses of its thread are those of the emulator and not of the kernel.
struct Unwatched {
#if EMULATOR_RACES
  EMULATOR_UNSEEN Unwatched() { emulator_runtime->current->unwatched += 1; }
  EMULATOR_UNSEEN ~Unwatched() { emulator_runtime->current->unwatched -= 1; }
#else
  Unwatched() {}
#endif
  Unwatched(const Unwatched&) = delete;
};

// What a twin of an instruction does for its thread.
inline void reads(const void* at, Size bytes) {
  if (EMULATOR_RACES) emulator_runtime->races->access(at, bytes, Access::Read);
}
inline void writes(const void* at, Size bytes) {
  if (EMULATOR_RACES) emulator_runtime->races->access(at, bytes, Access::Write);
}

// What something else does in the background for the thread: `begins` gives the number of the operation, `finished`
// says that the thread has waited for all up to that number.
inline unsigned begins(Agent agent) { return EMULATOR_RACES ? emulator_runtime->races->begins(agent) : 0; }
inline void reads(Agent agent, const void* at, Size bytes) {
  if (EMULATOR_RACES) emulator_runtime->races->access_by(agent, at, bytes, Access::Read);
}
inline void writes(Agent agent, const void* at, Size bytes) {
  if (EMULATOR_RACES) emulator_runtime->races->access_by(agent, at, bytes, Access::Write);
}
inline void finished(Agent agent, unsigned number) {
  if (EMULATOR_RACES) emulator_runtime->races->finished(agent, number);
}

// The lanes of the mask, which have all come, see what each did before.
inline void order_lanes(unsigned mask) {
  if (EMULATOR_RACES) emulator_runtime->races->order_lanes(mask);
}

// A barrier in shared memory: arrivals, and copies that have landed, are seen by those who wait for the phase to end.
inline void arrives_at(const void* barrier) {
  if (EMULATOR_RACES) emulator_runtime->races->arrives_at(barrier);
}
inline void lands_at(const void* barrier) {
  if (EMULATOR_RACES) emulator_runtime->races->lands_at(barrier);
}
inline void phase_ends(const void* barrier) {
  if (EMULATOR_RACES) emulator_runtime->races->phase_ends(barrier);
}
inline void has_awaited(const void* barrier) {
  if (EMULATOR_RACES) emulator_runtime->races->has_awaited(barrier);
}

inline void fence() {
  if (EMULATOR_RACES) emulator_runtime->races->fence();
}
inline void atomic(const void* at, Size bytes) {
  if (EMULATOR_RACES) emulator_runtime->races->access(at, bytes, Access::Atomic);
}

}  // namespace emulator

#if EMULATOR_RACES
namespace emulator {
EMULATOR_UNSEEN void access_at(void* at, Size bytes, Access kind, void* place) {
  // Constructors of a module's static variables run before it has a runtime, destructors outside of a launch.
  const ThreadView* thread = emulator_runtime ? emulator_runtime->current : nullptr;
  if (!thread || thread->unwatched || (at >= thread->stack && at < thread->stack_end)) return;
  emulator_runtime->races->access_at(at, bytes, kind, place);
}
}  // namespace emulator

#define EMULATOR_HOOK(NAME, BYTES, KIND)                                                         \
  extern "C" __attribute__((used)) EMULATOR_UNSEEN void NAME(void* at) {                         \
    ::emulator::access_at(at, BYTES, ::emulator::Access::KIND, __builtin_return_address(0));     \
  }
#define EMULATOR_HOOKS(BYTES)                            \
  EMULATOR_HOOK(__tsan_read##BYTES, BYTES, Read)         \
  EMULATOR_HOOK(__tsan_write##BYTES, BYTES, Write)
#define EMULATOR_UNALIGNED_HOOKS(BYTES)                        \
  EMULATOR_HOOK(__tsan_unaligned_read##BYTES, BYTES, Read)     \
  EMULATOR_HOOK(__tsan_unaligned_write##BYTES, BYTES, Write)
EMULATOR_HOOKS(1) EMULATOR_HOOKS(2) EMULATOR_HOOKS(4) EMULATOR_HOOKS(8) EMULATOR_HOOKS(16)
EMULATOR_UNALIGNED_HOOKS(2) EMULATOR_UNALIGNED_HOOKS(4) EMULATOR_UNALIGNED_HOOKS(8) EMULATOR_UNALIGNED_HOOKS(16)
#undef EMULATOR_HOOKS
#undef EMULATOR_UNALIGNED_HOOKS
#undef EMULATOR_HOOK
extern "C" __attribute__((used)) EMULATOR_UNSEEN void __tsan_read_range(void* at, unsigned long bytes) {
  ::emulator::access_at(at, bytes, ::emulator::Access::Read, __builtin_return_address(0));
}
extern "C" __attribute__((used)) EMULATOR_UNSEEN void __tsan_write_range(void* at, unsigned long bytes) {
  ::emulator::access_at(at, bytes, ::emulator::Access::Write, __builtin_return_address(0));
}
// Calls of these the compiler leaves to its own library, which would watch them.
extern "C" void* memmove(void*, const void*, unsigned long) noexcept;
extern "C" EMULATOR_UNSEEN void* memcpy(void* to, const void* from, unsigned long bytes) noexcept {
  ::emulator::access_at(const_cast<void*>(from), bytes, ::emulator::Access::Read, __builtin_return_address(0));
  ::emulator::access_at(to, bytes, ::emulator::Access::Write, __builtin_return_address(0));
  return memmove(to, from, bytes);
}
extern "C" EMULATOR_UNSEEN void* memset(void* to, int value, unsigned long bytes) noexcept {
  ::emulator::access_at(to, bytes, ::emulator::Access::Write, __builtin_return_address(0));
  auto* at = static_cast<volatile char*>(to);  // else the compiler would call memset
  for (unsigned long i = 0; i < bytes; ++i) at[i] = static_cast<char>(value);
  return to;
}
extern "C" __attribute__((used)) EMULATOR_UNSEEN void __tsan_init() {}
extern "C" __attribute__((used)) EMULATOR_UNSEEN void __tsan_func_entry(void*) {}
extern "C" __attribute__((used)) EMULATOR_UNSEEN void __tsan_func_exit(void*) {}
extern "C" __attribute__((used)) EMULATOR_UNSEEN void __tsan_vptr_update(void*, void*) {}
#endif
