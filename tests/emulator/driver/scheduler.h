// Runs the threads of one block after another, each thread on a fiber.
#pragma once

#include <string>
#include <vector>

#include "../device/runtime.h"

namespace emulator {

struct Span {
  char* start;
  size_t bytes;
};

struct Launch {
  const char* kernel;
  void (*call)(void** params);
  void** params;
  uint3 grid, block;
  size_t shared_bytes;
  // Of the module, to tell its static shared memory.
  char* module_start;
  size_t module_bytes;
  const std::vector<Span>* static_shared;
};

// False if the kernel trapped or came to a deadlock: `why` says so in one line.
bool run_grid(const Launch& launch, std::string& why);

// What modules call. One for the process: launches take turns.
Runtime& runtime();

}  // namespace emulator
