#pragma once

#include <string>
#include <vector>

namespace emulator {

struct FoundKernel {
  std::string name;
  std::string bounds;  // what stands in __launch_bounds__(...), empty without
};

// All `extern "C" __global__` functions of a preprocessed source, in order, each once.
std::vector<FoundKernel> find_kernels(const std::string& preprocessed);

// The table of kernels (device/runtime.h) as C++, to stand at the end of the source.
std::string registration(const std::vector<FoundKernel>& kernels);

// Puts all but the system's headers into a namespace without a name. Shared arrays in templates and in inline
// functions would otherwise be symbols that other objects may share, and those ASan leaves without red zones.
std::string make_private(const std::string& preprocessed);

}  // namespace emulator
