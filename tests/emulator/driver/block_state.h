// The state of the running block, shared by the scheduler and by what its threads wait for.
#pragma once

#include <string>
#include <vector>

#include "fibers.h"
#include "scheduler.h"

namespace emulator {

constexpr unsigned MAX_THREADS = 1024;
constexpr unsigned BARRIERS = 16;

enum class State : unsigned char { Ready, AtBarrier, InCollective, Done };

struct Thread : ThreadView {
  State state;
  Fiber* fiber;  // null until the thread starts
  unsigned barrier, votes;
  // What it brought to a collective.
  unsigned width, mask;
  void* mine;
  CollectiveBody body;
  void* function;
};

struct Barrier {
  unsigned arrived, expected, votes;
};

struct Warp {
  unsigned alive;    // lanes that have not returned
  unsigned waiting;  // lanes in a collective of a warp
};

struct Block {
  Thread threads[MAX_THREADS];
  Warp warps[MAX_THREADS / 32];
  unsigned warpgroup_waiting[MAX_THREADS / 128];
  Barrier barriers[BARRIERS];
  unsigned count = 0, living = 0;
  bool progress = false;  // something else than a yield happened since it was last cleared
  std::string failure, details;
};

extern Block block;

inline Thread& current_thread() { return *static_cast<Thread*>(runtime().current); }
inline unsigned lane_bit(const Thread& t) { return 1u << (t.linear % 32); }

// Scheduler: gives the processor away. `park` returns when another thread has made the caller ready.
void park();
void yield();
void fail(const char* why);  // leaves the fiber for good

// Waiting (waiting.cpp): what the runtime's functions of the same names do.
unsigned barrier(unsigned id, unsigned threads, unsigned predicate);
void barrier_arrive(unsigned id, unsigned threads);
void collective(unsigned width, unsigned mask, void* mine, CollectiveBody body, void* function);
unsigned living_lanes();
// A returned thread is no longer waited for.
void release_after_exit(Thread& gone);
std::string describe_waiting();

}  // namespace emulator
