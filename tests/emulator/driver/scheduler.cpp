#include "scheduler.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "block_state.h"
#include "races.h"

namespace emulator {

Block block;

namespace {

enum class Order { Forward, Reverse, Random };

Order order_from_environment() {
  const char* name = std::getenv("EMULATOR_ORDER");
  if (name && !std::strcmp(name, "reverse")) return Order::Reverse;
  if (name && !std::strcmp(name, "random")) return Order::Random;
  return Order::Forward;
}

// Rounds in which threads did nothing but yield, after which they are taken to wait in vain.
constexpr unsigned PATIENCE = 1'000'000;

Fiber main_fiber;
Fiber fibers[MAX_THREADS];
unsigned fiber_count = 0;  // those with a stack
std::vector<Fiber*> free_fibers;
const Launch* launch = nullptr;

// A round visits every thread once in `sequence`.
unsigned short sequence[MAX_THREADS];
unsigned position = 0, idle_rounds = 0;
bool any_ready = false;
Order order = Order::Forward;
unsigned long long random_state = 0;

unsigned next_random(unsigned below) {
  random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
  return static_cast<unsigned>((random_state >> 32) * below >> 32);
}

void start_round() {
  position = 0;
  any_ready = false;
  if (order != Order::Random) return;
  for (unsigned i = block.count; i > 1; --i) std::swap(sequence[i - 1], sequence[next_random(i)]);
}

// The next thread in the order of this round, or of the next one. Null if all returned or none can go on.
Thread* next_ready() {
  for (;;) {
    while (position < block.count) {
      Thread& t = block.threads[sequence[position++]];
      if (t.state != State::Ready) continue;
      any_ready = true;
      return &t;
    }
    if (!any_ready || block.living == 0) return nullptr;
    idle_rounds = block.progress ? 0 : idle_rounds + 1;
    block.progress = false;
    if (idle_rounds > PATIENCE) return nullptr;
    start_round();
  }
}

void give(Thread& t, Fiber& fiber) {
  t.fiber = &fiber;
  t.stack = static_cast<const char*>(fiber.bottom), t.stack_end = t.stack + fiber.bytes;
}

Fiber& fiber_for(Thread& t) {
  if (!t.fiber) give(t, *free_fibers.back()), free_fibers.pop_back();
  return *t.fiber;
}

void leave_to(Fiber& self, Thread* next) {
  if (next) {
    runtime().current = next;
    switch_fiber(self, fiber_for(*next));
  } else {
    switch_fiber(self, main_fiber);
  }
}

void finish(Thread& t) {
  t.state = State::Done;
  block.living -= 1;
  block.progress = true;
  release_after_exit(t);
}

// A fiber outlives the threads it runs. If the next thread has not started yet, the fiber takes it over without
// a switch: kernels without barriers cost a call per thread.
void fiber_loop() {
  arrived_first();
  for (;;) {
    Thread& mine = current_thread();
    Fiber& self = *mine.fiber;
    launch->call(launch->params);
    finish(mine);
    Thread* next = next_ready();
    if (next && !next->fiber) {
      give(*next, self);
      runtime().current = next;
    } else {
      free_fibers.push_back(&self);
      leave_to(self, next);
    }
  }
}

void reset_fibers() {
  free_fibers.clear();
  for (unsigned i = fiber_count; i-- > 0;) {
    prepare(fibers[i], i, fiber_loop);
    free_fibers.push_back(&fibers[i]);
  }
}

void ensure_fibers(unsigned count) {
  for (; fiber_count < count; ++fiber_count) {
    allocate_stack(fibers[fiber_count], fiber_count);
    prepare(fibers[fiber_count], fiber_count, fiber_loop);
    free_fibers.push_back(&fibers[fiber_count]);
  }
}

void set_up_threads(uint3 dim) {
  block.count = dim.x * dim.y * dim.z;
  ensure_fibers(block.count);
  for (unsigned i = 0; i < block.count; ++i) {
    Thread& t = block.threads[i];
    t.index = {i % dim.x, i / dim.x % dim.y, i / (dim.x * dim.y)};
    t.linear = i;
    sequence[i] = static_cast<unsigned short>(order == Order::Reverse ? block.count - 1 - i : i);
  }
}

void reset_block() {
  block.living = block.count;
  for (unsigned i = 0; i < block.count; ++i) {
    Thread& t = block.threads[i];
    t.state = State::Ready, t.fiber = nullptr, t.unwatched = 0;
  }
  for (unsigned w = 0; w < MAX_THREADS / 32; ++w) {
    unsigned lanes = block.count > w * 32 ? block.count - w * 32 : 0;
    block.warps[w] = {lanes >= 32 ? ~0u : (1u << lanes) - 1u, 0};
  }
  std::memset(block.warpgroup_waiting, 0, sizeof block.warpgroup_waiting);
  std::memset(block.barriers, 0, sizeof block.barriers);
  Runtime& r = runtime();
  std::memset(r.dynamic_shared, 0xff, r.dynamic_shared_bytes);
  r.block_number += 1;
  races_begin_block();
  idle_rounds = 0;
  start_round();
}

bool run_block() {
  reset_block();
  leave_to(main_fiber, next_ready());
  if (block.living == 0) return true;
  if (block.failure.empty()) block.failure = "deadlock", block.details = describe_waiting();
  return false;
}

std::string text(uint3 v) {
  return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}

std::string report() {
  return block.failure + " in kernel " + launch->kernel + " block " + text(runtime().block_index) + ": " +
         block.details;
}

bool run_blocks(uint3 grid) {
  Runtime& r = runtime();
  unsigned long long count = 1ull * grid.x * grid.y * grid.z;
  for (unsigned long long i = 0; i < count; ++i) {
    unsigned long long b = order == Order::Reverse ? count - 1 - i : i;
    unsigned long long xy = 1ull * grid.x * grid.y;
    r.block_index = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / xy)};
    if (!run_block()) return false;
  }
  return true;
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

// Shared memory has two windows of 32-bit addresses: dynamic memory, as exact as its allocation so that ASan
// sees its ends, and the module with its static arrays.
constexpr unsigned DYNAMIC_WINDOW = 0x400, STATIC_WINDOW = 0x40000000;

unsigned shared_handle(const void* pointer) {
  Runtime& r = runtime();
  auto* p = static_cast<const char*>(pointer);
  auto* dynamic = static_cast<char*>(r.dynamic_shared);
  if (p >= dynamic && p <= dynamic + r.dynamic_shared_bytes) return DYNAMIC_WINDOW + unsigned(p - dynamic);
  if (p < launch->module_start || p >= launch->module_start + launch->module_bytes)
    fail("a pointer that is not into shared memory was made a shared address");
  return STATIC_WINDOW + unsigned(p - launch->module_start);
}

void* shared_pointer(unsigned handle) {
  if (handle >= STATIC_WINDOW) return launch->module_start + (handle - STATIC_WINDOW);
  return static_cast<char*>(runtime().dynamic_shared) + (static_cast<long long>(handle) - DYNAMIC_WINDOW);
}

}  // namespace

void park() {
  Thread& self = current_thread();
  Thread* next = next_ready();
  if (next != &self) leave_to(*self.fiber, next);
}

void yield() { park(); }

void fail(const char* why) {
  const Thread& t = current_thread();
  block.failure = why;
  block.details = "thread " + text(t.index);
  Fiber abandoned;
  switch_fiber(abandoned, main_fiber);
}

namespace {
Runtime instance{nullptr, {}, {}, {}, 0, nullptr, 0, barrier, barrier_arrive, collective, living_lanes, yield, fail,
                 shared_handle, shared_pointer, &race_hooks};
}
Runtime& runtime() { return instance; }

bool run_grid(const Launch& what, std::string& why) {
  launch = &what;
  order = order_from_environment();
  random_state = 0x9e3779b97f4a7c15;
  block.failure.clear();
  set_up_threads(what.block);
  // A kernel that has no dynamic shared memory gets a byte, so that the address is one of its own.
  void* memory = nullptr;
  if (posix_memalign(&memory, 1024, what.shared_bytes ? what.shared_bytes : 1) != 0) std::abort();
  std::unique_ptr<void, Free> shared(memory);
  Runtime& r = runtime();
  r.dynamic_shared = memory, r.dynamic_shared_bytes = what.shared_bytes;
  r.grid_dim = what.grid, r.block_dim = what.block;
  races_begin_launch(what);
  bool right = run_blocks(what.grid);
  if (!right) {
    why = report();
    reset_fibers();
  }
  launch = nullptr;
  r.current = nullptr;
  return right;
}

}  // namespace emulator
