// Operations of a whole warp. Each is a collective: every lane brings a small struct, the last to arrive
// computes the results of all.
#pragma once

namespace emulator {

template <class Args, class F> struct CollectiveCall {
  static void run(void* function, void* const* lanes) {
    (*static_cast<F*>(function))(reinterpret_cast<Args* const*>(lanes));
  }
};

// `f(Args* const lanes[32])` runs once all lanes named in `mask` that still live have come.
template <class Args, class F> inline void masked_collective(unsigned mask, Args& mine, F f) {
  emulator_runtime->collective(32, mask, &mine, CollectiveCall<Args, F>::run, &f);
}

template <class Args, class F> inline void warp_collective(Args& mine, F f) { masked_collective(~0u, mine, f); }

// `f(Args* const lanes[128])`, threads 128k to 128k + 127.
template <class Args, class F> inline void warpgroup_collective(Args& mine, F f) {
  emulator_runtime->collective(128, ~0u, &mine, CollectiveCall<Args, F>::run, &f);
}

template <class T> struct Shuffle {
  T value;
  int source;  // a lane of the warp, or the own one
  T result;
};

template <class T> inline T shuffle(unsigned mask, T value, int source) {
  Shuffle<T> mine{value, source, value};
  masked_collective(mask, mine, [](Shuffle<T>* const* lanes) {
    for (int lane = 0; lane < 32; ++lane) {
      if (lanes[lane] && lanes[lanes[lane]->source]) lanes[lane]->result = lanes[lanes[lane]->source]->value;
    }
  });
  return mine.result;
}

// The first lane of the caller's part of the warp, which `width` cuts into equal parts.
inline int part_start(int width) { return static_cast<int>(lane()) & ~(width - 1); }

struct Vote {
  unsigned value;
  unsigned result;
};

// `combine(sum, value, lane)` over the lanes that came; all get the result.
template <class Combine> inline unsigned vote(unsigned mask, unsigned value, unsigned start, Combine combine) {
  Vote mine{value, 0};
  masked_collective(mask, mine, [start, combine](Vote* const* lanes) {
    unsigned all = start;
    for (int lane = 0; lane < 32; ++lane)
      if (lanes[lane]) all = combine(all, lanes[lane]->value, lane);
    for (int lane = 0; lane < 32; ++lane)
      if (lanes[lane]) lanes[lane]->result = all;
  });
  return mine.result;
}

}  // namespace emulator

template <class T> inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return emulator::shuffle(mask, value, emulator::part_start(width) + (source & (width - 1)));
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  int lane = emulator::lane(), source = lane ^ bits;
  bool inside = source < emulator::part_start(width) + width;
  return emulator::shuffle(mask, value, inside ? source : lane);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  int lane = emulator::lane(), source = lane + static_cast<int>(delta);
  bool inside = source < emulator::part_start(width) + width;
  return emulator::shuffle(mask, value, inside ? source : lane);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  int lane = emulator::lane(), source = lane - static_cast<int>(delta);
  return emulator::shuffle(mask, value, source >= emulator::part_start(width) ? source : lane);
}

inline void __syncwarp(unsigned mask = ~0u) {
  char nothing = 0;
  emulator::masked_collective(mask, nothing, [mask](char* const*) { emulator::order_lanes(mask); });
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return emulator::vote(mask, predicate != 0, 0, [](unsigned all, unsigned value, int lane) {
    return all | value << lane;
  });
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }

// There is no convergence here to ask for: all lanes that have not returned.
inline unsigned __activemask() { return emulator_runtime->living_lanes(); }

#define EMULATOR_REDUCE(NAME, TYPE, START, EXPRESSION)                                                    \
  inline TYPE __reduce_##NAME##_sync(unsigned mask, TYPE value) {                                         \
    return static_cast<TYPE>(emulator::vote(mask, value, START, [](unsigned left, unsigned right, int) { \
      TYPE a = static_cast<TYPE>(left), b = static_cast<TYPE>(right);                                     \
      return static_cast<unsigned>(EXPRESSION);                                                           \
    }));                                                                                                  \
  }
EMULATOR_REDUCE(add, unsigned, 0u, a + b)
EMULATOR_REDUCE(max, unsigned, 0u, a > b ? a : b)
EMULATOR_REDUCE(min, unsigned, ~0u, a < b ? a : b)
EMULATOR_REDUCE(and, unsigned, ~0u, a & b)
EMULATOR_REDUCE(or, unsigned, 0u, a | b)
EMULATOR_REDUCE(xor, unsigned, 0u, a ^ b)
EMULATOR_REDUCE(max, int, 0x80000000u, a > b ? a : b)
EMULATOR_REDUCE(min, int, 0x7fffffffu, a < b ? a : b)
#undef EMULATOR_REDUCE
// Signed sums wrap, as on the GPU, so they are sums of unsigned ones.
inline int __reduce_add_sync(unsigned mask, int value) {
  return static_cast<int>(__reduce_add_sync(mask, static_cast<unsigned>(value)));
}
