// Fibers: stacks of their own, switched by hand on one thread of the machine.
#pragma once

#include <cstddef>

// EMULATOR_UCONTEXT takes the way of other machines on this one, too, to test it.
#if defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)
#define SWITCH_BY_HAND
#else
#include <ucontext.h>
#endif

namespace emulator {

struct Fiber {
#if defined(SWITCH_BY_HAND)
  void* stack_pointer = nullptr;
#else
  ucontext_t context;
#endif
  void* bottom = nullptr;  // the lowest address of the stack; of the main stack it is only known under ASan
  size_t bytes = 0;
  void* fake_stack = nullptr;  // ASan's
};

constexpr size_t STACK_BYTES = 256 * 1024;

// `number` moves the top of the stack, or all stacks would meet in the same few cache sets.
void allocate_stack(Fiber& fiber, size_t number);

// The next switch to `fiber` calls `entry`, which must never return. Forgets what ran on the fiber before.
void prepare(Fiber& fiber, size_t number, void (*entry)());

void switch_fiber(Fiber& from, Fiber& to);

// The first thing that `entry` does.
void arrived_first();

}  // namespace emulator
