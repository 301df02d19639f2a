#include "races.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "block_state.h"
#include "shadow.h"

namespace emulator {
namespace {

// The last epoch of each agent of a block that someone knows. Those that are shared do not change any more.
using Clock = std::vector<unsigned>;
using SharedClock = std::shared_ptr<const Clock>;

// What an atomic operation shows of its block: what was before the fence before it, and of atomic operations itself, too.
struct Published {
  SharedClock accesses, atomics;
};
using Blocks = std::map<unsigned, Published>;

struct ThreadTime {
  unsigned epoch;
  SharedClock known;
  SharedClock fenced;  // at its last fence, null before
  Blocks observed;     // by atomic operations; a fence makes it known
};

// What barriers gather.
struct Gathering {
  Clock clock;
  SharedClock last;  // joined last, as most threads bring the same
};

struct SharedBarrier {
  unsigned number;  // in the order in which they were first seen
  Gathering arriving;
  SharedClock ended;
  unsigned landed;  // copies
};

// A fence of thread `by` in `epoch` made a block known to it, and to whom knows that epoch.
struct Visible {
  unsigned by, epoch;
  Published what;
};

const Launch* launch = nullptr;
unsigned first_of_launch = 0;
ThreadTime times[MAX_THREADS];
std::vector<unsigned> begun;  // the last number that each agent gave
Gathering barriers[BARRIERS];
SharedClock leaving[BARRIERS];
auto& shared_barriers = *new std::unordered_map<const void*, SharedBarrier>;
auto& published = *new std::unordered_map<const void*, Blocks>;
auto& visible = *new std::map<unsigned, std::vector<Visible>>;

constexpr unsigned SHARED_BARRIERS = 64;
SharedBarrier& shared_barrier(const void* at) {
  auto number = static_cast<unsigned>(shared_barriers.size());
  SharedBarrier& it = shared_barriers.try_emplace(at, SharedBarrier{number, {}, {}, 0}).first->second;
  if (it.number >= SHARED_BARRIERS) fail("a block of more than 64 barriers in shared memory");
  return it;
}

// Agents of a block: its threads, the copies of each, the products of each warpgroup, the copy engine by barriers.
unsigned first_engine() { return 2 * block.count + (block.count + 127) / 128; }
unsigned agent_count() { return first_engine() + SHARED_BARRIERS; }
unsigned agent_number(Agent agent, unsigned thread) {
  switch (agent.kind) {
    case Agent::Thread: return thread;
    case Agent::Copies: return block.count + thread;
    case Agent::Products: return 2 * block.count + thread / 128;
    default: return first_engine() + shared_barrier(agent.barrier).number;
  }
}

unsigned me() { return current_thread().linear; }
unsigned this_block() { return runtime().block_number; }

void join(Clock& into, const Clock& from) {
  if (into.empty()) into.assign(from.size(), 0);
  for (size_t i = 0; i < from.size(); ++i) into[i] = std::max(into[i], from[i]);
}

// Adds what a thread knows and did; what it does next is not among that.
void gather(Gathering& into, unsigned thread) {
  ThreadTime& t = times[thread];
  if (into.clock.empty() || t.known != into.last) join(into.clock, *t.known);
  into.last = t.known;
  into.clock[thread] = t.epoch++;
}

SharedClock snapshot(unsigned thread) {
  Gathering mine;
  gather(mine, thread);
  return std::make_shared<Clock>(std::move(mine.clock));
}

void extend(SharedClock& known, const SharedClock& what) {
  if (!known) known = what;
  if (known == what) return;
  auto more = std::make_shared<Clock>(*known);
  join(*more, *what);
  known = std::move(more);
}
void extend(Published& known, const Published& what) {
  extend(known.accesses, what.accesses);
  extend(known.atomics, what.atomics);
}

// ---- Order ----

bool knows(unsigned thread, unsigned agent, unsigned epoch) {
  return agent == thread || (*times[thread].known)[agent] >= epoch;
}

bool knows_of_other_block(unsigned thread, const Touch& touch) {
  auto found = visible.find(touch.block);
  if (found == visible.end()) return false;
  for (const Visible& v : found->second) {
    const Clock& clock = touch.kind == Access::Atomic ? *v.what.atomics : *v.what.accesses;
    if (knows(thread, v.by, v.epoch) && clock[touch.agent] >= touch.epoch) return true;
  }
  return false;
}

bool is_before_now(unsigned thread, const Touch& touch) {
  if (touch.block == this_block()) return knows(thread, touch.agent, touch.epoch);
  return touch.block < first_of_launch || knows_of_other_block(thread, touch);
}

bool conflict(Access a, Access b) { return a != b || a == Access::Write; }

// ---- Reports ----

std::string thread_text(unsigned linear) {
  uint3 d = runtime().block_dim;
  return "(" + std::to_string(linear % d.x) + "," + std::to_string(linear / d.x % d.y) + "," +
         std::to_string(linear / (d.x * d.y)) + ")";
}

std::string agent_text(unsigned agent) {
  unsigned n = block.count;
  if (agent < n) return "thread " + thread_text(agent);
  if (agent < 2 * n) return "a copy of thread " + thread_text(agent - n);
  if (agent >= first_engine()) return "the copy engine";
  return "a product of warpgroup " + std::to_string(agent - 2 * n);
}

// FILE:LINE, and those that it is inlined in, but for the emulator's own: files of kernels have no folder.
std::string place_text(unsigned place) {
  char command[128], line[256];
  Dl_info info;
  if (!dladdr(launch->module_start, &info) || !info.dli_fname) return "at an unknown place";
  int file = std::atoi(std::strrchr(info.dli_fname, '/') + 1);  // "/proc/self/fd/N"
  // The address before the one that the call returns to.
  std::snprintf(command, sizeof command, "addr2line -i -e /proc/%d/fd/%d 0x%x 2>&1", int(getpid()), file, place - 1);
  std::string text;
  FILE* output = popen(command, "r");
  while (output && std::fgets(line, sizeof line, output)) {
    line[std::strcspn(line, " \n")] = 0;
    std::string name = line;
    while (name.compare(0, 2, "./") == 0) name.erase(0, 2);
    if (name.find('/') == std::string::npos) text += (text.empty() ? "at " : " in ") + name;
  }
  if (output) pclose(output);
  return text;
}

const char* verb(Access kind) {
  return kind == Access::Read ? " reads" : kind == Access::Write ? " writes" : " updates";
}

[[noreturn]] void report(const Touch& before, const Touch& now, bool shared) {
  static std::string text;  // `fail` does not return to free it
  text = std::string("a race on ") + (shared ? "shared" : "global") + " memory: " + agent_text(now.agent) +
         verb(now.kind) + " " + place_text(now.place) + ", " +
         (before.block == this_block() ? agent_text(before.agent) : "one of another block") + verb(before.kind) +
         " " + place_text(before.place) + ", and nothing says which is first,";
  fail(text.c_str());
  __builtin_unreachable();
}

// ---- Accesses ----

// Where to note an access: over one that tells no more than it, or else over any, first over reads.
Touch& place_for(Granule& granule, unsigned thread, const Touch& now, bool shared) {
  static unsigned turn = 0;
  for (Touch& t : granule.touches) {
    bool over = t.none() || t.block < first_of_launch || (shared && t.block != this_block());
    if (over) return t;
  }
  for (Touch& t : granule.touches) {
    bool covered = (t.bytes & ~now.bytes) == 0 && (now.kind == Access::Write || t.kind == now.kind);
    bool same = t.block == now.block && t.agent == now.agent && t.epoch == now.epoch;
    if (covered && (same || is_before_now(thread, t))) return t;
  }
  for (unsigned i = 0; i < TOUCHES; ++i) {
    Touch& t = granule.touches[++turn % TOUCHES];
    if (t.kind == Access::Read) return t;
  }
  return granule.touches[++turn % TOUCHES];
}

void touch_granule(uintptr_t address, unsigned thread, const Touch& now, bool shared) {
  Granule& granule = granule_of(address);
  for (const Touch& t : granule.touches) {
    if (!(t.bytes & now.bytes) || !conflict(t.kind, now.kind)) continue;
    if (shared && t.block != this_block()) continue;
    if (!is_before_now(thread, t)) report(t, now, shared);
  }
  place_for(granule, thread, now, shared) = now;
}

bool is_shared(const char* at) {
  auto* dynamic = static_cast<const char*>(runtime().dynamic_shared);
  if (at >= dynamic && at < dynamic + runtime().dynamic_shared_bytes) return true;
  for (const Span& span : *launch->static_shared)
    if (at >= span.start && at < span.start + span.bytes) return true;
  return false;
}

void touch(Agent agent, const void* memory, Size bytes, Access kind, const void* place) {
  auto* at = static_cast<const char*>(memory);
  if (bytes == 0) return;
  unsigned thread = me(), number = agent_number(agent, thread);
  unsigned epoch = agent.kind == Agent::Thread ? times[thread].epoch : begun[number];
  auto offset = static_cast<unsigned>(static_cast<const char*>(place) - launch->module_start);
  Touch now{epoch, this_block(), static_cast<unsigned short>(number), 0, kind, offset};
  bool shared = is_shared(at);
  auto first = reinterpret_cast<uintptr_t>(at), end = first + bytes;
  for (uintptr_t start = first / GRANULE * GRANULE; start < end; start += GRANULE) {
    uintptr_t from = std::max(first, start) - start, to = std::min(end, start + GRANULE) - start;
    now.bytes = static_cast<unsigned char>((1u << to) - (1u << from));
    touch_granule(start, thread, now, shared);
  }
}

// ---- Fences between blocks ----

// An atomic operation after a fence publishes what was before the fence, to those who see it by one and then fence.
void publish(const void* at) {
  ThreadTime& mine = times[me()];
  Blocks& there = published[at];
  if (mine.fenced) {
    auto with_itself = std::make_shared<Clock>(*mine.fenced);
    (*with_itself)[me()] = mine.epoch++;
    extend(there[this_block()], {mine.fenced, with_itself});
  }
  for (auto& [number, what] : there)
    if (number != this_block()) extend(mine.observed[number], what);
}

void hook_fence() {
  ThreadTime& mine = times[me()];
  for (auto& [number, what] : mine.observed) visible[number].push_back({me(), mine.epoch, what});
  mine.observed.clear();
  mine.fenced = snapshot(me());
}

// ---- Hooks ----

void hook_access_at(const void* at, Size bytes, Access kind, const void* place) {
  touch(Agent::Thread, at, bytes, kind, place);
}
void hook_access(const void* at, Size bytes, Access kind) {
  touch(Agent::Thread, at, bytes, kind, __builtin_return_address(0));
  // Shared memory of other blocks is elsewhere, if at the same address here.
  if (kind == Access::Atomic && !is_shared(static_cast<const char*>(at))) publish(at);
}
void hook_access_by(Agent agent, const void* at, Size bytes, Access kind) {
  touch(agent, at, bytes, kind, __builtin_return_address(0));
}
unsigned hook_begins(Agent agent) { return ++begun[agent_number(agent, me())]; }

void know(unsigned thread, unsigned agent, unsigned epoch) {
  ThreadTime& t = times[thread];
  if ((*t.known)[agent] >= epoch) return;
  auto more = std::make_shared<Clock>(*t.known);
  (*more)[agent] = epoch;
  t.known = std::move(more);
}
void hook_finished(Agent agent, unsigned number) { know(me(), agent_number(agent, me()), number); }

void hook_order_lanes(unsigned mask) {
  Gathering all;
  unsigned first = me() / 32 * 32;
  auto each = [&](auto&& f) {
    for (unsigned lane = 0; lane < 32; ++lane)
      if ((mask >> lane & 1u) && block.threads[first + lane].state == State::InCollective) f(first + lane);
  };
  each([&](unsigned thread) { gather(all, thread); });
  SharedClock clock = std::make_shared<Clock>(std::move(all.clock));
  each([&](unsigned thread) { times[thread].known = clock; });
}

void hook_arrives_at(const void* barrier) { gather(shared_barrier(barrier).arriving, me()); }
void hook_lands_at(const void* barrier) {
  SharedBarrier& it = shared_barrier(barrier);
  unsigned engine = agent_number({Agent::Engine, barrier}, 0);
  it.landed += 1;
  if (it.landed < begun[engine]) return;  // which of them is unknown: all of a phase come before it ends
  Clock& clock = it.arriving.clock;
  if (clock.empty()) clock.assign(agent_count(), 0);
  clock[engine] = it.landed;
}
void hook_phase_ends(const void* barrier) {
  SharedBarrier& it = shared_barrier(barrier);
  it.ended = std::make_shared<Clock>(it.arriving.clock);
}
void hook_has_awaited(const void* barrier) {
  SharedBarrier& it = shared_barrier(barrier);
  if (it.ended) extend(times[me()].known, it.ended);  // else the phase before the first
}

}  // namespace

bool detects_races() {
  static const char* name = std::getenv("EMULATOR_SANITIZE");
  static const bool wanted = name && !std::strcmp(name, "thread");
  return wanted;
}

void races_begin_launch(const Launch& what) {
  if (!detects_races()) return;
  launch = &what;
  first_of_launch = this_block() + 1;
  trim_shadow();  // what launches before did is in order with this one
  published.clear();
}

void races_begin_block() {
  if (!detects_races()) return;
  begun.assign(agent_count(), 0);
  auto nothing = std::make_shared<Clock>(agent_count(), 0);
  for (unsigned i = 0; i < block.count; ++i) times[i] = {1, nothing, nullptr, {}};
  for (Gathering& barrier : barriers) barrier = {};
  shared_barriers.clear();
  visible.clear();
}

void races_arrive(unsigned barrier, unsigned thread) {
  if (detects_races()) gather(barriers[barrier], thread);
}
void races_leave(unsigned barrier, unsigned thread) {
  if (!detects_races()) return;
  if (!leaving[barrier]) leaving[barrier] = std::make_shared<Clock>(barriers[barrier].clock);
  times[thread].known = leaving[barrier];
}
void races_end_barrier(unsigned barrier) {
  if (detects_races()) leaving[barrier] = nullptr, barriers[barrier] = {};
}

const RaceHooks race_hooks{hook_access_at, hook_access, hook_access_by, hook_begins, hook_finished,
                           hook_order_lanes, hook_arrives_at, hook_lands_at, hook_phase_ends, hook_has_awaited,
                           hook_fence};

}  // namespace emulator
