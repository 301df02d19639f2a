// Barriers and collectives: who waits for whom, and when all have come.
#include <cstring>

#include "block_state.h"
#include "races.h"

namespace emulator {
namespace {

void make_ready(Thread& thread) {
  thread.state = State::Ready;
  block.progress = true;
}

void release(unsigned id) {
  Barrier& b = block.barriers[id];
  for (unsigned i = 0; i < block.count; ++i) {
    Thread& t = block.threads[i];
    if (t.state != State::AtBarrier || t.barrier != id) continue;
    t.votes = b.votes;
    races_leave(id, i);
    make_ready(t);
  }
  races_end_barrier(id);
  b = Barrier{};
}

// All living threads are expected where no number was given: it shrinks as threads return.
bool complete(const Barrier& b) { return b.arrived > 0 && b.arrived >= (b.expected ? b.expected : block.living); }

void arrive(unsigned id, unsigned threads, unsigned predicate) {
  if (id >= BARRIERS) fail("a barrier has a number from 0 to 15");
  if (threads % 32 != 0) fail("a barrier waits for whole warps");
  Barrier& b = block.barriers[id];
  if (b.arrived > 0 && b.expected != threads) fail("threads disagree on how many meet at a barrier");
  b.expected = threads;
  b.arrived += 1;
  b.votes += predicate;
  races_arrive(id, current_thread().linear);
}

Warp& warp_of(const Thread& t) { return block.warps[t.linear / 32]; }

// All living lanes of the mask wait for this mask.
bool warp_complete(const Thread& t) {
  const Warp& warp = warp_of(t);
  unsigned wanted = t.mask & warp.alive;
  if ((warp.waiting & wanted) != wanted) return false;
  const Thread* lanes = &block.threads[t.linear / 32 * 32];
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((wanted >> lane & 1u) && (lanes[lane].width != 32 || lanes[lane].mask != t.mask)) return false;
  return true;
}

bool warpgroup_complete(const Thread& t) {
  unsigned group = t.linear / 128, alive = 0;
  for (unsigned w = group * 4; w < group * 4 + 4; ++w) alive += __builtin_popcount(block.warps[w].alive);
  return block.warpgroup_waiting[group] == alive;
}

bool collective_complete(const Thread& t) { return t.width == 32 ? warp_complete(t) : warpgroup_complete(t); }

// Runs the body for the threads that wait together with `t`, and lets them go on.
void run_collective(Thread& t) {
  void* lanes[128];
  std::memset(lanes, 0, t.width * sizeof(void*));
  unsigned first = t.linear / t.width * t.width;
  for (unsigned i = 0; i < t.width && first + i < block.count; ++i) {
    Thread& other = block.threads[first + i];
    if (other.state != State::InCollective || other.width != t.width || other.mask != t.mask) continue;
    if (other.body != t.body) return fail("lanes of one warp meet in different operations");
    lanes[i] = other.mine;
  }
  Thread& self = current_thread();
  self.unwatched += 1;
  t.body(t.function, lanes);
  self.unwatched -= 1;
  for (unsigned i = 0; i < t.width && first + i < block.count; ++i)
    if (lanes[i]) make_ready(block.threads[first + i]);
  if (t.width == 32) warp_of(t).waiting &= ~t.mask;
  else block.warpgroup_waiting[t.linear / 128] = 0;
}

void release_collectives_of(const Thread& gone) {
  unsigned first = gone.linear / 128 * 128;
  for (unsigned i = first; i < first + 128 && i < block.count; ++i) {
    Thread& t = block.threads[i];
    bool together = t.state == State::InCollective && t.linear / t.width == gone.linear / t.width;
    if (together && collective_complete(t)) run_collective(t);
  }
}

}  // namespace

unsigned barrier(unsigned id, unsigned threads, unsigned predicate) {
  Thread& self = current_thread();
  arrive(id, threads, predicate);
  self.barrier = id;
  self.state = State::AtBarrier;
  block.progress = true;
  if (complete(block.barriers[id])) release(id);
  park();
  return self.votes;
}

void barrier_arrive(unsigned id, unsigned threads) {
  arrive(id, threads, 0);
  block.progress = true;
  if (complete(block.barriers[id])) release(id);
}

void collective(unsigned width, unsigned mask, void* mine, CollectiveBody body, void* function) {
  Thread& self = current_thread();
  if (!(mask & lane_bit(self))) fail("a lane uses a mask that does not name it");
  self.width = width, self.mask = mask, self.mine = mine, self.body = body, self.function = function;
  self.state = State::InCollective;
  block.progress = true;
  if (width == 32) warp_of(self).waiting |= lane_bit(self);
  else block.warpgroup_waiting[self.linear / 128] += 1;
  if (collective_complete(self)) run_collective(self);
  park();
}

unsigned living_lanes() { return warp_of(current_thread()).alive; }

void release_after_exit(Thread& gone) {
  Warp& warp = warp_of(gone);
  warp.alive &= ~lane_bit(gone);
  if (block.living == 0) return;
  if (complete(block.barriers[0])) release(0);
  unsigned group = gone.linear / 128;
  if (warp.waiting || block.warpgroup_waiting[group]) release_collectives_of(gone);
}

std::string describe_waiting() {
  unsigned at_barrier = 0, in_collective = 0, spinning = 0;
  for (unsigned i = 0; i < block.count; ++i) {
    at_barrier += block.threads[i].state == State::AtBarrier;
    in_collective += block.threads[i].state == State::InCollective;
    spinning += block.threads[i].state == State::Ready;
  }
  return std::to_string(at_barrier) + " threads wait at barriers, " + std::to_string(in_collective) +
         " in operations of a warp, " + std::to_string(spinning) + " yield in vain, " +
         std::to_string(block.count - block.living) + " have returned";
}

}  // namespace emulator
