// Atomic operations. A thread loses the processor only where it waits, so a plain read and write is atomic.
#pragma once

namespace emulator {
template <class T, class F> EMULATOR_TWIN T update(T* address, F next) {
  atomic(address, sizeof(T));
  Unwatched mine;
  T old = *address;
  *address = next(old);
  return old;
}
}  // namespace emulator

#define EMULATOR_ATOMIC(NAME, TYPE, EXPRESSION)                                     \
  EMULATOR_TWIN TYPE NAME(TYPE* address, TYPE value) {                                     \
    return emulator::update(address, [=](TYPE old) -> TYPE { return EXPRESSION; }); \
  }
#define EMULATOR_ATOMIC_INTEGER(TYPE)                             \
  EMULATOR_ATOMIC(atomicMax, TYPE, old > value ? old : value)     \
  EMULATOR_ATOMIC(atomicMin, TYPE, old < value ? old : value)     \
  EMULATOR_ATOMIC(atomicExch, TYPE, value)                        \
  EMULATOR_ATOMIC(atomicAnd, TYPE, old & value)                   \
  EMULATOR_ATOMIC(atomicOr, TYPE, old | value)                    \
  EMULATOR_ATOMIC(atomicXor, TYPE, old ^ value)                   \
  EMULATOR_TWIN TYPE atomicCAS(TYPE* address, TYPE expected, TYPE value) { \
    return emulator::update(address, [=](TYPE old) { return old == expected ? value : old; }); \
  }

EMULATOR_ATOMIC_INTEGER(int)
EMULATOR_ATOMIC_INTEGER(unsigned)
EMULATOR_ATOMIC_INTEGER(unsigned long long)
EMULATOR_ATOMIC(atomicAdd, float, old + value)
EMULATOR_ATOMIC(atomicAdd, double, old + value)
EMULATOR_ATOMIC(atomicAdd, unsigned, old + value)
EMULATOR_ATOMIC(atomicAdd, unsigned long long, old + value)
EMULATOR_ATOMIC(atomicSub, unsigned, old - value)
EMULATOR_ATOMIC(atomicExch, float, value)
EMULATOR_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
// Signed sums wrap on the GPU.
EMULATOR_ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value)))
EMULATOR_ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(value)))
#undef EMULATOR_ATOMIC_INTEGER
#undef EMULATOR_ATOMIC

// The scopes do not differ here.
template <class T, class U> inline T atomicAdd_block(T* address, U value) { return atomicAdd(address, T(value)); }
template <class T, class U> inline T atomicAdd_system(T* address, U value) { return atomicAdd(address, T(value)); }
