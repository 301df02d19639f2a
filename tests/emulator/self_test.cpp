// Loads both emulated libraries as a CUDA program would, compiles self_test_*.cu and checks what they compute.
//   self_test ROOT               everything that must work; ROOT is the repository
//   self_test ROOT MISTAKE...    kernels that ASan must stop or the detector of races report
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "device/tensor_map.h"

namespace {

using Pointer = unsigned long long;

void* driver = nullptr;
void* compiler = nullptr;

[[noreturn]] void stop(const std::string& why) {
  std::printf("FAILED: %s\n", why.c_str());
  std::exit(1);
}

void* open_library(const char* name) {
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library) stop(dlerror());
  return library;
}

// Calls a function of a library by name; the types of the arguments must be those of the function.
template <class... A> int call(void* library, const char* name, A... arguments) {
  auto* function = reinterpret_cast<int (*)(A...)>(dlsym(library, name));
  if (!function) stop(std::string("no symbol ") + name);
  return function(arguments...);
}
template <class... A> int cu(const char* name, A... arguments) { return call(driver, name, arguments...); }

void expect(bool right, const std::string& what) {
  if (!right) stop(what);
}
template <class... A> void must(const char* name, A... arguments) {
  int code = cu(name, arguments...);
  expect(code == 0, std::string(name) + " gave error " + std::to_string(code));
}

std::string root;

std::string read_file(const std::string& path) {
  std::ifstream file(root + "/" + path);
  if (!file) stop("no file " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string compile(const std::string& source, const char* name, const std::vector<const char*>& options,
                    bool succeeds) {
  // A header that adds to the emulator's namespace, as the twins of tensor core instructions do; and those of them.
  const char* names[] = {"sizes.h", "common.cuh", "ptx.cuh", "hopper.cuh"};
  std::string texts[4] = {"#pragma once\n#include <cstdint>\n#include <cmath>\n#define BLOCK 128\n"
                          "namespace emulator { inline std::uint32_t twin(float x) { return __float_as_uint(x); } }\n"};
  const char* headers[4];
  for (int i = 0; i < 4; ++i) {
    if (i > 0) texts[i] = read_file(std::string("kernels/src/cuda/") + names[i]);
    headers[i] = texts[i].c_str();
  }
  void* program = nullptr;
  call(compiler, "nvrtcCreateProgram", &program, source.c_str(), name, 4, static_cast<const char**>(headers),
       static_cast<const char**>(names));
  int code = call(compiler, "nvrtcCompileProgram", program, static_cast<int>(options.size()), options.data());
  size_t bytes = 0;
  call(compiler, "nvrtcGetProgramLogSize", program, &bytes);
  std::string log(bytes, 0);
  call(compiler, "nvrtcGetProgramLog", program, log.data());
  if (succeeds) expect(code == 0, "compilation: " + log);
  else expect(code == 6 && log.find("self_test_kernels.cu:2:") != std::string::npos, "an error in the log: " + log);
  std::string image;
  if (call(compiler, "nvrtcGetCUBINSize", program, &bytes) == 0) {
    image.resize(bytes);
    call(compiler, "nvrtcGetCUBIN", program, image.data());
  }
  call(compiler, "nvrtcDestroyProgram", &program);
  return image;
}

void *module = nullptr, *agents = nullptr;

void load(void** to, const char* name) {
  std::string source = read_file(std::string("tests/emulator/") + name);
  std::string image = compile(source, name, {"--gpu-architecture=sm_90a", "--define-macro=UNUSED=1"}, true);
  must("cuModuleLoadData", to, static_cast<const void*>(image.data()));
}

void* function(const char* name) {
  void* result = nullptr;
  if (cu("cuModuleGetFunction", &result, agents, name) != 0) must("cuModuleGetFunction", &result, module, name);
  return result;
}

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

template <class... A> int launch_code(const char* name, Dim grid, Dim block, unsigned shared, A... arguments) {
  void* params[] = {&arguments..., nullptr};
  void* nothing = nullptr;
  return cu("cuLaunchKernel", function(name), grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, nothing,
            static_cast<void**>(params), static_cast<void**>(nullptr));
}
template <class... A> void launch(const char* name, Dim grid, Dim block, unsigned shared, A... arguments) {
  expect(launch_code(name, grid, block, shared, arguments...) == 0, std::string("launch of ") + name);
}

template <class T> struct Buffer {
  Pointer pointer = 0;
  size_t count;
  explicit Buffer(size_t count) : count(count) { must("cuMemAlloc_v2", &pointer, count * sizeof(T)); }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    must("cuMemcpyHtoD_v2", pointer, static_cast<const void*>(values.data()), count * sizeof(T));
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { must("cuMemFree_v2", pointer); }
  std::vector<T> read() const {
    std::vector<T> values(count);
    must("cuMemcpyDtoH_v2", static_cast<void*>(values.data()), pointer, count * sizeof(T));
    return values;
  }
};

template <class T> std::vector<T> filled(size_t count, const std::function<T(size_t)>& f) {
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = f(i);
  return values;
}

void indices() {
  Buffer<unsigned> out(2 * 2 * 2 * 105);
  launch("indices", {2, 2, 2}, {7, 5, 3}, 0, out.pointer);
  auto values = out.read();
  for (unsigned i = 0; i < values.size(); ++i) {
    unsigned t = i % 105;
    expect(values[i] == (t % 7 | t / 7 % 5 << 8 | t / 35 << 16 | i / 105 << 24), "thread and block indices");
  }
}

void sums() {
  Buffer<float> in(filled<float>(1000, [](size_t i) { return float(i % 10); })), out(1);
  launch("sum_float", {1}, {256}, 0, in.pointer, out.pointer, 1000);
  expect(out.read()[0] == 4500, "sum of floats");
  Buffer<double> in2(filled<double>(77, [](size_t) { return 0.5; })), out2(1);
  launch("sum_double", {1}, {64}, 0, in2.pointer, out2.pointer, 77);
  expect(out2.read()[0] == 38.5, "sum of doubles");
  expect(launch_code("sum_float", {1}, {512}, 0, in.pointer, out.pointer, 1000) == 1, "launch bounds");
}

void transposes() {
  Buffer<float> in(filled<float>(64 * 64, [](size_t i) { return float(i); }));
  for (bool dynamic : {false, true}) {
    Buffer<float> out(64 * 64);
    launch(dynamic ? "transpose_dynamic" : "transpose_static", {2, 2}, {32, 32}, dynamic ? 32 * 33 * 4 : 0, in.pointer,
           out.pointer, 64);
    auto values = out.read();
    for (size_t i = 0; i < values.size(); ++i) expect(values[i] == float(i % 64 * 64 + i / 64), "transpose");
  }
}

struct Bounds {
  int low, high;
};
void atomics() {
  Buffer<int> out({0, -1, 1 << 30, 0});
  Buffer<float> sum(std::vector<float>{0});
  launch("atomics", {10}, {96}, 0, out.pointer, sum.pointer, Bounds{5, 905});
  expect(out.read() == std::vector<int>({900, 904, 5, 1800}) && sum.read()[0] == 450, "atomics");
}

void early_return() {
  Buffer<int> out(100);
  launch("early_return", {1}, {300}, 0, out.pointer, 100);
  auto values = out.read();
  for (int i = 0; i < 100; ++i) {
    int next = i % 32 == 31 || i == 99 ? i : i + 1;  // beyond the warp, and absent
    expect(values[i] == 100 + 1000 * next + 1000000, "threads that return before a barrier");
  }
}

void barriers_and_collectives() {
  Buffer<int> slots(128), sums(256);
  launch("named_barriers", {1}, {64}, 0, slots.pointer);
  for (int i = 0; i < 128; ++i) expect(slots.read()[i] == i / 32 * 100 + i % 32, "named barriers");
  launch("collectives", {1}, {256}, 0, sums.pointer);
  auto values = sums.read();
  for (int i = 0; i < 256; ++i) {
    int warp = i / 128 * 4 + (i / 32 + 1) % 4, odd = i % 32 < 16 ? 16 : 8;
    expect(values[i] == warp * 1024 + 496 + 100000 * odd, "collectives of warps and warpgroups");
  }
}

void spin() {
  Buffer<int> turns(40);
  launch("spin", {1}, {40}, 0, turns.pointer);
  for (int i = 0; i < 40; ++i) expect(turns.read()[i] == i, "threads that wait for each other");
}

int last_block(int fenced) {
  Buffer<int> parts(4 * 64), sums(64);
  Buffer<unsigned> counter(std::vector<unsigned>{0});
  int code = launch_code("last_block", {4}, {64}, 0, parts.pointer, counter.pointer, sums.pointer, fenced);
  if (code == 0) expect(sums.read()[63] == 4 * 63, "the last block");
  return code;
}

void orders_of_memory() {
  Buffer<int> out(128);
  launch("reads_nothing", {1}, {128}, 0, out.pointer);
  expect(out.read()[127] == 7, "a read under a condition");
  launch("warp_passes", {1}, {128}, 0, out.pointer);
  expect(out.read()[33] == 3 * 34 + 3, "values passed on in a warp");
  expect(last_block(1) == 0, "the last block, by fences");
  Buffer<int> met(8);
  launch("two_blocks", {2}, {32}, 0, met.pointer);
  expect(met.read()[6] == 2 && met.read()[0] == 0, "two blocks, by fences");
}

// Of the processor, as others may use it, too.
double seconds(const std::function<void()>& f) {
  std::clock_t start = std::clock();
  f();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

void speed() {
  Buffer<float> out(10000), data(filled<float>(2560000, [](size_t) { return 1.0f; }));
  double with = seconds([&] { launch("many_blocks", {10000}, {256}, 0, out.pointer); });
  double without = seconds([&] { launch("elementwise", {10000}, {256}, 0, data.pointer, 2560000); });
  auto values = out.read();
  for (int i = 0; i < 10000; ++i) expect(values[i] == 32640.0f + i, "10,000 blocks");
  expect(data.read().back() == 3.0f, "elementwise");
  // Five shuffles and two barriers are seven switches for a thread.
  std::printf("10,000 blocks of 256: %.3f s with 7 switches a thread (%.1f ns each), %.3f s with none\n", with,
              with / (2560000.0 * 7) * 1e9, without);
}

std::vector<int> in_order(const char* order) {
  setenv("EMULATOR_ORDER", order, 1);
  Buffer<int> out(128);
  launch("missing_barrier", {1}, {128}, 0, out.pointer);
  return out.read();
}

void orders(const std::string& wanted) {
  auto forward = in_order("forward"), reverse = in_order("reverse"), random = in_order("random");
  expect(forward != reverse && forward != random && reverse != random, "a missing barrier shows in the order");
  setenv("EMULATOR_ORDER", wanted.c_str(), 1);
}

void failures() {
  expect(launch_code("deadlock", {1}, {32}, 0, 1) == 719, "a deadlock");
  expect(launch_code("waits_in_vain", {1}, {2}, 0) == 719, "a wait for nothing");
  expect(launch_code("traps", {3}, {64}, 0) == 719, "a trap");
  sums();  // the GPU is as before
}

void limits() {
  Buffer<float> out(128);
  expect(launch_code("elementwise", {1}, {1025}, 0, out.pointer, 1) == 1, "1025 threads");
  expect(launch_code("elementwise", {0}, {32}, 0, out.pointer, 1) == 1, "an empty grid");
  expect(launch_code("elementwise", {1, 65536}, {32}, 0, out.pointer, 1) == 1, "grid.y");
  unsigned shared = 100 * 1024;
  expect(launch_code("elementwise", {1}, {32}, shared, out.pointer, 1) == 1, "shared memory over 48 KiB");
  must("cuFuncSetAttribute", function("elementwise"), 8, static_cast<int>(shared));
  launch("elementwise", {1}, {32}, shared, out.pointer, 1);
  Pointer pointer = 0;
  expect(cu("cuMemAlloc_v2", &pointer, size_t{5} << 30) == 2, "out of memory");
  size_t free_bytes = 0, total = 0;
  must("cuMemGetInfo_v2", &free_bytes, &total);
  expect(total == size_t{4} << 30 && free_bytes == total - 512, "memory that is free");
  std::vector<float> host(200);
  const void* from = host.data();
  expect(cu("cuMemcpyHtoD_v2", out.pointer, from, size_t{800}) == 1, "a copy too long");
  expect(cu("cuMemFree_v2", out.pointer + 4) == 1, "a free of what is no allocation");
}

// Of a matrix of 4 or, as bf16, 2 bytes an element, in boxes with 128-byte swizzle.
int encode(emulator::TensorMap& map, Pointer address, int type, unsigned rows, unsigned cols, unsigned box_rows,
           unsigned box_cols) {
  constexpr int F32 = 7, SWIZZLE_128 = 3;
  unsigned long long dims[] = {cols, rows}, strides[] = {cols * (type == F32 ? 4 : 2)};
  unsigned box[] = {box_cols, box_rows}, steps[] = {1, 1};
  return cu("cuTensorMapEncodeTiled", static_cast<void*>(&map), type, 2, reinterpret_cast<void*>(address), &dims[0],
            &strides[0], &box[0], &steps[0], 0, SWIZZLE_128, 0, 0);
}

void tensor_maps() {
  emulator::TensorMap map;
  Buffer<float> data(64 * 64);
  Buffer<unsigned> out(8);
  bool right = encode(map, data.pointer, 7, 64, 64, 8, 32) == 0;
  expect(right && map.box[1] == 8 && map.strides[0] == 256, "a tensor map");
  launch("map_rank", {1}, {8}, 0, map, out.pointer);
  expect(out.read()[7] == 2, "a tensor map as an argument");
  expect(encode(map, data.pointer + 4, 7, 64, 64, 8, 32) == 1, "an address that is not aligned");
  expect(encode(map, data.pointer, 7, 64, 64, 8, 64) == 1, "a box wider than its swizzle");
}

int copies_of_threads(const char* name) {
  Buffer<float> in(filled<float>(4 * 128, [](size_t i) { return float(i); })), out(2 * 128);
  int code = launch_code(name, {2}, {128}, 0, in.pointer, out.pointer);
  auto sums = out.read();
  for (int i = 0; code == 0 && i < 256; ++i) expect(sums[i] == 768 + 4 * (i % 128), "copies in the background");
  return code;
}

// A small number as bf16.
unsigned short bf16(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<unsigned short>(bits >> 16);
}

int product_of_warpgroup(const char* name) {
  Buffer<unsigned short> a(filled<unsigned short>(64 * 256, [](size_t i) { return bf16(i / 256 % 8); }));
  Buffer<unsigned short> b(filled<unsigned short>(128 * 256, [](size_t i) { return bf16(i / 256 % 5); }));
  Buffer<float> c(2 * 64 * 128);
  emulator::TensorMap map_a, map_b;
  expect(encode(map_a, a.pointer, 9, 64, 256, 64, 64) == 0, "a map of A");
  expect(encode(map_b, b.pointer, 9, 128, 256, 128, 64) == 0, "a map of B");
  int code = launch_code(name, {2}, {160}, 48 * 1024, map_a, map_b, c.pointer);
  auto values = c.read();
  for (int i = 0; code == 0 && i < 2 * 64 * 128; ++i)
    expect(values[i] == 256 * (i / 128 % 8) * (i % 128 % 5), "a product of a warpgroup");
  return code;
}

// Boxes of 64 columns and 16 rows into a matrix that ends within them.
int boxes_out(const char* name) {
  constexpr unsigned ROWS = 60, COLS = 40;
  Buffer<unsigned short> out(ROWS * COLS);
  emulator::TensorMap map;
  expect(encode(map, out.pointer, 9, ROWS, COLS, 16, 64) == 0, "a map of boxes");
  int code = launch_code(name, {2}, {32}, 2048, map);
  auto values = out.read();
  for (unsigned i = 0; code == 0 && i < ROWS * COLS; ++i)
    expect(values[i] == i / COLS * 64 + i % COLS, "boxes that are stored");
  return code;
}

void agents_in_the_background() {
  expect(copies_of_threads("copies_of_threads") == 0, "copies of threads");
  expect(product_of_warpgroup("product_of_warpgroup") == 0, "a product of a warpgroup");
  expect(boxes_out("boxes_out") == 0, "boxes that are stored");
  expect(boxes_out("boxes_unshown") == 719, "a box that the engine was not shown");
}

void variables() {
  Pointer pointer = 0;
  size_t bytes = 0;
  must("cuModuleGetGlobal_v2", &pointer, &bytes, module, "factor");
  float value = 5;
  must("cuMemcpyHtoD_v2", pointer, static_cast<const void*>(&value), bytes);
  Buffer<float> data({1.0f, 2.0f});
  launch("times_factor", {1}, {2}, 0, data.pointer);
  expect(bytes == 4 && data.read() == std::vector<float>({5, 10}), "a variable of a module");
}

void contraction() {
  const char* wanted = std::getenv("EMULATOR_CONTRACT");
  bool fused = wanted && std::string(wanted) == "fast";
#if defined(__x86_64__)
  fused = fused && __builtin_cpu_supports("fma");
#endif
  Buffer<float> in({1.1f, 1.1f}), out(2);
  volatile float product = 1.1f * 1.3f;
  launch("rounding_errors", {1}, {1}, 0, in.pointer, 1.3f, float(product), out.pointer);
  auto errors = out.read();
  expect((errors[0] != 0) == fused && errors[1] == 0, "fused multiply-adds where they are asked for");
}

int race_code(const std::string& name) {
  if (name == "race_of_fences") return last_block(0);
  if (name.compare(0, 9, "race_copy") == 0) return copies_of_threads(name.c_str());
  if (name.compare(0, 12, "race_product") == 0) return product_of_warpgroup(name.c_str());
  if (name.compare(0, 8, "race_box") == 0) return boxes_out(name.c_str());
  Buffer<int> out(130);
  return launch_code(name.c_str(), {2}, {name == "race_past_arrival" ? 64u : 128u}, 512, out.pointer);
}
void race(const std::string& name) { expect(race_code(name) == 719, name + " was not reported"); }

void mistake(const std::string& name) {
  Buffer<float> in(128), out(128);
  if (name == "over_global") launch("over_global", {1}, {128}, 0, in.pointer, out.pointer, 1);
  else if (name == "misaligned") launch("misaligned", {1}, {1}, 0, in.pointer, out.pointer, 1);
  else launch(name.c_str(), {1}, {128}, 512, out.pointer, 1);
  stop("nothing stopped " + name);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) stop("usage: self_test ROOT [MISTAKE...]");
  root = arguments[1];
  driver = open_library("libcuda.so.1");
  compiler = open_library("libnvrtc.so");
  void* context = nullptr;
  must("cuInit", 0u);
  must("cuDevicePrimaryCtxRetain", &context, 0);
  must("cuCtxSetCurrent", context);
  load(&module, "self_test_kernels.cu");
  load(&agents, "self_test_agents.cu");
  for (int i = 2; i < count; ++i) {
    if (!std::strncmp(arguments[i], "race", 4)) race(arguments[i]);
    else mistake(arguments[i]);
  }
  if (count > 2) return 0;
  compile("// an error in line 2\nint x = y;\n", "self_test_kernels.cu", {}, false);
  const char* order = std::getenv("EMULATOR_ORDER");
  indices(), sums(), transposes(), atomics(), early_return(), barriers_and_collectives();
  orders_of_memory(), agents_in_the_background(), speed(), failures(), limits(), tensor_maps(), variables();
  const char* sanitizer = std::getenv("EMULATOR_SANITIZE");
  bool finds_races = sanitizer && !std::strcmp(sanitizer, "thread");
  if (!finds_races) spin(), orders(order ? order : "forward");
  contraction();
  must("cuModuleUnload", module), must("cuModuleUnload", agents);
  std::printf("all right\n");
}
