// For the detector of races: who touched which memory last.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../device/runtime.h"

namespace emulator {

// An access to some bytes of a granule. `agent` did it at its time `epoch`, in a block counted over all launches.
struct Touch {
  unsigned epoch, block;
  unsigned short agent;
  unsigned char bytes;  // a bit for each of the granule's
  Access kind;
  unsigned place;  // in the code, from the start of the module

  bool none() const { return bytes == 0; }
};

// Eight bytes of memory, and up to so many accesses to them.
constexpr unsigned GRANULE = 8, TOUCHES = 4;
struct Granule {
  Touch touches[TOUCHES];
};

// That of an address; empty at first.
Granule& granule_of(uintptr_t address);

// Forgets all accesses if they take much memory.
void trim_shadow();

}  // namespace emulator
