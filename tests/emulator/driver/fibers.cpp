#include "fibers.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {
namespace {

Fiber* came_from = nullptr;

// ASan keeps the bounds of the stack it believes to run on; both sides of a switch must tell it.
void before_switch([[maybe_unused]] Fiber& from, [[maybe_unused]] Fiber& to) {
  came_from = &from;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.bytes);
#endif
}

void after_switch([[maybe_unused]] void* fake_stack) {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
  // This is how the bounds of the main stack become known.
  came_from->bottom = const_cast<void*>(bottom);
  came_from->bytes = bytes;
#endif
}

size_t stack_offset(size_t number) { return number * 320 % 16384; }

}  // namespace

void allocate_stack(Fiber& fiber, size_t) {
  constexpr size_t GUARD = 4096;  // a page that no one may touch ends a runaway stack
  void* pages = mmap(nullptr, STACK_BYTES + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED || mprotect(pages, GUARD, PROT_NONE) != 0) {
    std::perror("emulated GPU: no memory for the stack of a thread");
    std::abort();
  }
  fiber.bottom = static_cast<char*>(pages) + GUARD;
  fiber.bytes = STACK_BYTES;
}

#if defined(SWITCH_BY_HAND)

// Saves what a function must preserve, changes the stack, and restores it from there.
extern "C" void emulator_switch(void** save, void* load);
asm(R"(
.text
.type emulator_switch, @function
.hidden emulator_switch
.globl emulator_switch
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch, .-emulator_switch
)");

void prepare(Fiber& fiber, size_t number, void (*entry)()) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(fiber.bottom, fiber.bytes);  // frames that were left without returning
  fiber.fake_stack = nullptr;
#endif
  auto top = reinterpret_cast<uintptr_t>(fiber.bottom) + fiber.bytes - stack_offset(number);
  auto* words = reinterpret_cast<void**>(top & ~uintptr_t{63});
  // From the top: a null return address, so that backtraces end; the entry; six registers.
  *--words = nullptr;
  *--words = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--words = nullptr;
  fiber.stack_pointer = words;
}

void switch_fiber(Fiber& from, Fiber& to) {
  before_switch(from, to);
  emulator_switch(&from.stack_pointer, to.stack_pointer);
  after_switch(from.fake_stack);
}

#else

void prepare(Fiber& fiber, size_t number, void (*entry)()) {
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.bottom;
  fiber.context.uc_stack.ss_size = fiber.bytes - stack_offset(number);
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, entry, 0);
}

void switch_fiber(Fiber& from, Fiber& to) {
  before_switch(from, to);
  swapcontext(&from.context, &to.context);
  after_switch(from.fake_stack);
}

#endif

void arrived_first() { after_switch(nullptr); }

}  // namespace emulator
