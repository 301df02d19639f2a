#pragma once

#include <map>
#include <string>
#include <vector>

#include "../device/runtime.h"
#include "api.h"
#include "scheduler.h"

namespace emulator {

struct Function {
  const KernelEntry* entry;
  Module* module;
  int max_dynamic_shared;  // raised by cuFuncSetAttribute
};

struct Module {
  void* library;  // of dlopen
  int file;
  char* start;    // where it lies in memory
  size_t bytes;
  std::vector<Span> static_shared;
  std::map<std::string, Function> functions;
};

unsigned max_threads(const Function& function);

}  // namespace emulator
