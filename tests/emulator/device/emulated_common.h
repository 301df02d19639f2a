// What kernels/src/cuda/common.cuh does by PTX or by names that C++ has not, for the emulated GPU, in the same order.
#pragma once

#include <cstring>

inline bf16 to_bf16(float x) {
  bf16 y;
  u32 bits = __float_as_uint(x);
  y.bits = isnan(x) ? 0x7fff : u16((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  return y;
}

inline u32 pack_bf16(float low, float high) {
  return u32(to_bf16(low).bits) | u32(to_bf16(high).bits) << 16;
}

EMULATOR_TWIN void store_words(const u32 (&words)[4], void* to) {
  if (reinterpret_cast<size_t>(to) % 16) emulator::fail("a store of 16 bytes to an address that is no multiple of it");
  emulator::writes(to, 16);
  emulator::Unwatched copy;
  std::memcpy(to, words, 16);
}

template <typename T> inline T* dynamic_shared() { return static_cast<T*>(emulator::dynamic_shared()); }

// Whether an asynchronous copy happens at once and not when it is waited for: both are allowed, and a kernel that
// forgets to wait shows in one case, one that overwrites what is still read in the other.
EMULATOR_UNSEEN bool emulated_copy_at_once() {
  static u32 state = 1;
  state = state * 1664525 + 1013904223;
  return state >> 31;
}
