// The interface of NVRTC 13.0 over a C++ compiler.
#include <cstring>
#include <string>
#include <vector>

#include "compile.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

enum nvrtcResult : int {
  NVRTC_SUCCESS = 0,
  NVRTC_ERROR_INVALID_INPUT = 3,
  NVRTC_ERROR_INVALID_PROGRAM = 4,
  NVRTC_ERROR_INVALID_OPTION = 5,
  NVRTC_ERROR_COMPILATION = 6,
  NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID = 10,
  NVRTC_ERROR_INTERNAL_ERROR = 11,
};

namespace emulator {

struct Program {
  Source source;
  std::vector<Source> headers;
  std::string image, log;
};

namespace {

// The size counts the null at the end, as NVRTC's does for text.
nvrtcResult size_of_log(const Program* program, size_t* size) {
  if (!program || !size) return NVRTC_ERROR_INVALID_INPUT;
  return *size = program->log.size() + 1, NVRTC_SUCCESS;
}

nvrtcResult size_of_image(const Program* program, size_t* size) {
  if (!program || !size) return NVRTC_ERROR_INVALID_INPUT;
  if (program->image.empty()) return NVRTC_ERROR_INVALID_PROGRAM;
  return *size = program->image.size(), NVRTC_SUCCESS;
}

nvrtcResult copy_image(const Program* program, char* to) {
  if (!program || !to) return NVRTC_ERROR_INVALID_INPUT;
  if (program->image.empty()) return NVRTC_ERROR_INVALID_PROGRAM;
  std::memcpy(to, program->image.data(), program->image.size());
  return NVRTC_SUCCESS;
}

}  // namespace
}  // namespace emulator

using namespace emulator;

EXPORT nvrtcResult nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 0, NVRTC_SUCCESS; }

EXPORT const char* nvrtcGetErrorString(nvrtcResult result) {
  switch (result) {
    case NVRTC_SUCCESS: return "NVRTC_SUCCESS";
    case NVRTC_ERROR_INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
    case NVRTC_ERROR_INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
    case NVRTC_ERROR_INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
    case NVRTC_ERROR_COMPILATION: return "NVRTC_ERROR_COMPILATION";
    case NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID: return "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID";
    case NVRTC_ERROR_INTERNAL_ERROR: return "NVRTC_ERROR_INTERNAL_ERROR";
  }
  return "NVRTC_ERROR unknown";
}

EXPORT nvrtcResult nvrtcCreateProgram(Program** program, const char* source, const char* name, int header_count,
                                      const char* const* headers, const char* const* include_names) {
  if (!program || !source || header_count < 0) return NVRTC_ERROR_INVALID_INPUT;
  auto* p = new Program;
  p->source = {name && *name ? name : "default_program.cu", source};
  for (int i = 0; i < header_count; ++i) p->headers.push_back({include_names[i], headers[i]});
  return *program = p, NVRTC_SUCCESS;
}

EXPORT nvrtcResult nvrtcDestroyProgram(Program** program) {
  if (!program || !*program) return NVRTC_ERROR_INVALID_PROGRAM;
  delete *program;
  return *program = nullptr, NVRTC_SUCCESS;
}

EXPORT nvrtcResult nvrtcCompileProgram(Program* program, int option_count, const char* const* options) {
  if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
  emulator::Options translated = emulator::translate_options(option_count, options);
  if (!translated.unknown.empty()) {
    program->log = "the emulated NVRTC does not know the option " + translated.unknown + "\n";
    return NVRTC_ERROR_INVALID_OPTION;
  }
  program->image = emulator::compile(program->source, program->headers, translated, program->log);
  return program->image.empty() ? NVRTC_ERROR_COMPILATION : NVRTC_SUCCESS;
}

EXPORT nvrtcResult nvrtcGetProgramLogSize(Program* program, size_t* size) { return size_of_log(program, size); }
EXPORT nvrtcResult nvrtcGetProgramLog(Program* program, char* log) {
  if (!program || !log) return NVRTC_ERROR_INVALID_INPUT;
  std::memcpy(log, program->log.c_str(), program->log.size() + 1);
  return NVRTC_SUCCESS;
}

// What a GPU would take as PTX or as machine code is the shared object here.
EXPORT nvrtcResult nvrtcGetCUBINSize(Program* program, size_t* size) { return size_of_image(program, size); }
EXPORT nvrtcResult nvrtcGetCUBIN(Program* program, char* to) { return copy_image(program, to); }
EXPORT nvrtcResult nvrtcGetPTXSize(Program* program, size_t* size) { return size_of_image(program, size); }
EXPORT nvrtcResult nvrtcGetPTX(Program* program, char* to) { return copy_image(program, to); }

// Kernels are known by their C names only.
EXPORT nvrtcResult nvrtcAddNameExpression(Program*, const char*) { return NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID; }
EXPORT nvrtcResult nvrtcGetLoweredName(Program*, const char*, const char**) {
  return NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID;
}

EXPORT nvrtcResult nvrtcGetNumSupportedArchs(int* count) { return *count = 2, NVRTC_SUCCESS; }
EXPORT nvrtcResult nvrtcGetSupportedArchs(int* architectures) {
  return architectures[0] = 80, architectures[1] = 90, NVRTC_SUCCESS;
}
