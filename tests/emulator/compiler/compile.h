#pragma once

#include <string>
#include <vector>

namespace emulator {

struct Source {
  std::string name, text;
};

struct Options {
  std::vector<std::string> arguments;  // for the C++ compiler
  std::string unknown;                 // the first option that has no meaning here
};

Options translate_options(int count, const char* const* options);

// The shared object of a CUDA source, empty if it has errors. `log` gets all that the compiler says.
std::string compile(const Source& source, const std::vector<Source>& headers, const Options& options,
                    std::string& log);

}  // namespace emulator
