// A CUDA source becomes a shared object: preprocess, find the kernels, add their table, compile.
#include "compile.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "kernel_scan.h"

extern char** environ;

namespace emulator {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? value : otherwise;
}

// Removed with all that is in it.
struct TemporaryFolder {
  fs::path path;
  TemporaryFolder() {
    std::string pattern = environment("TMPDIR", "/tmp") + "/emulated-nvrtc-XXXXXX";
    if (mkdtemp(pattern.data())) path = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// ASan may be preloaded into this process; the compiler must not have it.
std::vector<char*> environment_of_compiler() {
  std::vector<char*> result;
  for (char** entry = environ; *entry; ++entry)
    if (std::strncmp(*entry, "LD_PRELOAD=", 11) != 0) result.push_back(*entry);
  result.push_back(nullptr);
  return result;
}

bool run(const std::vector<std::string>& command, const fs::path& log) {
  std::vector<char*> arguments, environment = environment_of_compiler();
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child;
  int failed = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed) return write(log, "cannot run the compiler " + command[0] + ": " + std::strerror(failed) + "\n"), false;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void remove_all(std::string& text, const std::string& part) {
  for (size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
}

// Without the line that EMULATOR_OMIT=FILE:LINE names: a mistake, to see who notices.
std::string with_omission(const Source& source) {
  std::string omitted = environment("EMULATOR_OMIT", ""), start = source.name + ":";
  if (omitted.compare(0, start.size(), start) != 0) return source.text;
  std::istringstream lines(source.text);
  std::string text, line;
  for (int number = 1; std::getline(lines, line); ++number)
    text += (number == std::atoi(omitted.c_str() + start.size()) ? "" : line) + "\n";
  return text;
}

bool starts_with(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

// sm_90a -> 900
std::string cuda_arch(const std::string& architecture) {
  std::string digits;
  for (char c : architecture)
    if (std::isdigit(static_cast<unsigned char>(c))) digits += c;
  return "-D__CUDA_ARCH__=" + digits + "0";
}

// Options about PTX, registers and rounding that change nothing here.
bool is_without_effect(const std::string& option) {
  static const char* const STARTS[] = {
      "--std=", "-std=", "--ftz=", "-ftz=", "--prec-sqrt=", "-prec-sqrt=", "--prec-div=", "-prec-div=", "--fmad=",
      "-fmad=", "--maxrregcount=", "-maxrregcount=", "--device-debug", "-G", "--generate-line-info", "-lineinfo",
      "--extra-device-vectorization", "-extra-device-vectorization", "--restrict", "-restrict", "--ptxas-options",
      "-default-device", "--device-as-default-execution-space", "--split-compile", "--dopt", "--diag-suppress",
      "-diag-suppress", "--no-source-include", "-no-source-include", "--disable-warnings", "-w"};
  for (const char* start : STARTS)
    if (starts_with(option, start)) return true;
  return false;
}

std::vector<std::string> operator+(std::vector<std::string> left, const std::vector<std::string>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// A vector that is not aligned is a fault on a GPU, too; a C++ compiler may let it pass. For the detector of races the
// compiler only calls what device/watch.h defines, and must not read what a kernel may leave alone before a loop.
std::vector<std::string> sanitizer_flags() {
  std::string sanitizer = environment("EMULATOR_SANITIZE", "");
  if (sanitizer == "thread") return {"-fsanitize=thread", "-fno-tree-loop-im"};
  if (sanitizer != "address") return {};
  return {"-fsanitize=address", "-fsanitize=alignment", "-fno-sanitize-recover=alignment"};
}

// Without the library of GCC's own detector.
std::vector<std::string> linker_flags() {
  return environment("EMULATOR_SANITIZE", "") == "thread" ? std::vector<std::string>{} : sanitizer_flags();
}

// Products and sums of one expression in one rounding, as NVIDIA's compilers have them, where the CPU can do it.
std::vector<std::string> contraction_flags() {
  if (environment("EMULATOR_CONTRACT", "") != "fast") return {"-ffp-contract=off"};
#if defined(__x86_64__) || defined(__i386__)
  if (!__builtin_cpu_supports("fma")) return {"-ffp-contract=off"};
  // The fusing itself is a pass of GCC's -O2.
  return {"-ffp-contract=fast", "-mfma", "-fexpensive-optimizations"};
#else
  return {"-ffp-contract=fast", "-fexpensive-optimizations"};
#endif
}

// Symbols of one module must not meet those of another.
std::vector<std::string> compiler_flags() {
  std::vector<std::string> flags = {"-std=c++17",  "-O1",      "-g1",         "-fPIC",
                                    "-fno-gnu-unique",        "-fno-semantic-interposition",
                                    "-fno-strict-aliasing",   "-fno-math-errno", "-fno-exceptions",
                                    "-Wno-attributes",        "-fno-omit-frame-pointer"};
  flags = flags + contraction_flags();
  return flags + sanitizer_flags();
}

std::string file_name(const std::string& name) {
  std::string base = fs::path(name).filename().string();
  return base.empty() ? "kernel.cu" : base;
}

}  // namespace

Options translate_options(int count, const char* const* options) {
  Options result;
  auto valued = [&](const std::string& option, const char* start, const char* flag) {
    if (!starts_with(option, start)) return false;
    result.arguments.push_back(flag + option.substr(std::strlen(start)));
    return true;
  };
  for (int i = 0; i < count; ++i) {
    std::string option = options[i];
    bool separate = option == "-D" || option == "-I" || option == "-U" || option == "-arch" ||
                    option == "--gpu-architecture" || option == "-std" || option == "--std";
    if (separate && i + 1 < count) option += (option.size() > 2 ? "=" : "") + std::string(options[++i]);
    if (starts_with(option, "--gpu-architecture=") || starts_with(option, "-arch=")) {
      result.arguments.push_back(cuda_arch(option));
    } else if (!valued(option, "--define-macro=", "-D") && !valued(option, "-D", "-D") &&
               !valued(option, "--undefine-macro=", "-U") && !valued(option, "-U", "-U") &&
               !valued(option, "--include-path=", "-I") && !valued(option, "-I", "-I") &&
               !is_without_effect(option) && result.unknown.empty()) {
      result.unknown = option;
    }
  }
  return result;
}

std::string compile(const Source& source, const std::vector<Source>& headers, const Options& options,
                    std::string& log) {
  TemporaryFolder folder;
  if (folder.path.empty()) return log = "cannot make a temporary folder\n", "";
  fs::path include = environment("EMULATOR_INCLUDE", EMULATOR_INCLUDE_FOLDER);
  fs::path input = folder.path / file_name(source.name), expanded = folder.path / "expanded.ii";
  fs::path object = folder.path / "kernels.o", output = folder.path / "kernels.so";
  fs::path messages = folder.path / "messages.txt";
  write(input, with_omission(source));
  for (const Source& header : headers) write(folder.path / header.name, with_omission(header));

  std::string compiler = environment("CXX", "c++");
  // Reports name the source as the program did.
  std::string map = "-ffile-prefix-map=" + folder.path.string() + "/=";
  std::error_code ignored;
  std::string here = "-fdebug-prefix-map=" + fs::current_path(ignored).string() + "=.";
  auto expand = std::vector<std::string>{compiler, "-E", "-x", "c++", "-DEMULATED_GPU", "-D__CUDACC_RTC__"} +
                compiler_flags() + options.arguments +
                std::vector<std::string>{"-I" + folder.path.string(), "-I" + include.string(), "-include",
                                         (include / "cuda_emulator.h").string(), input.string(), "-o",
                                         expanded.string()};
  auto build = std::vector<std::string>{compiler, "-x", "c++-cpp-output", "-c", map, here} + compiler_flags() +
               std::vector<std::string>{expanded.string(), "-o", object.string()};
  auto link = std::vector<std::string>{compiler, "-shared", "-Wl,-Bsymbolic", object.string(), "-o", output.string()} +
              linker_flags();
  bool right = run(expand, messages);
  if (right) {
    std::string text = read(expanded);
    write(expanded, make_private(text) + registration(find_kernels(text)));
    right = run(build, messages) && run(link, messages);
  }
  log = read(messages);
  remove_all(log, folder.path.string() + "/");
  return right ? read(output) : "";
}

}  // namespace emulator
