// Modules: shared objects that the emulated NVRTC made, loaded from memory.
#include "modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>

namespace emulator {
namespace {

auto& modules = *new std::set<Module*>;

// An image comes without its size; the section headers are the last thing in what a linker writes.
size_t elf_bytes(const void* image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof header);
  return header.e_shoff + size_t{header.e_shnum} * header.e_shentsize;
}

bool is_elf(const void* image) { return image && std::memcmp(image, ELFMAG, SELFMAG) == 0; }

// A file without a name: nothing is left behind, and ASan can read its line table as long as it is open.
int file_of(const void* image) {
  int file = memfd_create("kernels", MFD_CLOEXEC);
  auto* bytes = static_cast<const char*>(image);
  for (size_t left = elf_bytes(image); file >= 0 && left > 0;) {
    ssize_t written = write(file, bytes, left);
    if (written <= 0) return close(file), -1;
    bytes += written, left -= written;
  }
  return file;
}

int find_end(dl_phdr_info* info, size_t, void* data) {
  auto* module = static_cast<Module*>(data);
  if (info->dlpi_addr != reinterpret_cast<uintptr_t>(module->start)) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i)
    if (info->dlpi_phdr[i].p_type == PT_LOAD)
      module->bytes = std::max<size_t>(module->bytes, info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz);
  return 1;
}

void find_extent(Module& module) {
  link_map* map = nullptr;
  dlinfo(module.library, RTLD_DI_LINKMAP, &map);
  module.start = reinterpret_cast<char*>(map->l_addr);
  dl_iterate_phdr(find_end, &module);
}

// Shared arrays are static variables of functions, whose names are mangled to _ZZ..., as no other's are.
void find_static_shared(Module& module, const char* image) {
  auto* header = reinterpret_cast<const Elf64_Ehdr*>(image);
  auto* sections = reinterpret_cast<const Elf64_Shdr*>(image + header->e_shoff);
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char* names = image + sections[sections[i].sh_link].sh_offset;
    auto* symbols = reinterpret_cast<const Elf64_Sym*>(image + sections[i].sh_offset);
    for (const Elf64_Sym* s = symbols; s < symbols + sections[i].sh_size / sizeof *s; ++s)
      if (ELF64_ST_TYPE(s->st_info) == STT_OBJECT && !std::strncmp(names + s->st_name, "_ZZ", 3))
        module.static_shared.push_back({module.start + s->st_value, s->st_size});
  }
}

bool connect(Module& module) {
  auto** slot = static_cast<Runtime**>(dlsym(module.library, "emulator_runtime"));
  auto* kernels = static_cast<const KernelEntry*>(dlsym(module.library, "emulator_kernels"));
  if (!slot || !kernels) return false;
  *slot = &runtime();
  for (; kernels->name; ++kernels) module.functions[kernels->name] = {kernels, &module, SHARED_DEFAULT};
  find_extent(module);
  return true;
}

CUresult load(Module*& result, const void* image) {
  if (!is_elf(image)) return CUDA_ERROR_INVALID_IMAGE;
  int file = file_of(image);
  if (file < 0) return CUDA_ERROR_OUT_OF_MEMORY;
  std::string path = "/proc/self/fd/" + std::to_string(file);
  auto* module = new Module{dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL), file, nullptr, 0, {}, {}};
  if (module->library && connect(*module)) {
    find_static_shared(*module, static_cast<const char*>(image));
    modules.insert(module);
    return result = module, CUDA_SUCCESS;
  }
  const char* why = dlerror();
  std::fprintf(stderr, "emulated GPU: cannot load a module: %s\n", why ? why : "it is none of the emulated NVRTC");
  if (module->library) dlclose(module->library);
  close(file);
  delete module;
  return CUDA_ERROR_INVALID_IMAGE;
}

}  // namespace

unsigned max_threads(const Function& function) {
  unsigned bound = function.entry->max_threads;
  return bound ? std::min(bound, 1024u) : 1024u;
}

}  // namespace emulator

using namespace emulator;

EXPORT CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  Lock lock(library_lock());
  return current_context() ? load(*module, image) : CUDA_ERROR_INVALID_CONTEXT;
}
// The options steer a compiler of PTX, and there is no PTX.
EXPORT CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned, int*, void**) {
  return cuModuleLoadData(module, image);
}

EXPORT CUresult cuModuleLoad(CUmodule* module, const char* name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
  std::string image{std::istreambuf_iterator<char>(file), {}};
  if (image.size() < sizeof(Elf64_Ehdr)) return CUDA_ERROR_INVALID_IMAGE;
  return cuModuleLoadData(module, image.data());
}

EXPORT CUresult cuModuleUnload(CUmodule module) {
  Lock lock(library_lock());
  if (modules.erase(module) == 0) return CUDA_ERROR_INVALID_HANDLE;
  remove_ranges(reinterpret_cast<CUdeviceptr>(module->start), module->bytes);
  dlclose(module->library);
  close(module->file);
  delete module;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  Lock lock(library_lock());
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (!modules.count(module)) return CUDA_ERROR_INVALID_HANDLE;
  auto found = module->functions.find(name);
  if (found == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
  return *function = &found->second, CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr* pointer, size_t* bytes, CUmodule module, const char* name) {
  Lock lock(library_lock());
  if (!modules.count(module)) return CUDA_ERROR_INVALID_HANDLE;
  void* address = dlsym(module->library, name);
  Dl_info info;
  ElfW(Sym)* symbol = nullptr;
  if (!address || !dladdr1(address, &info, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT) || !symbol ||
      ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT)
    return CUDA_ERROR_NOT_FOUND;
  add_range(reinterpret_cast<CUdeviceptr>(address), symbol->st_size);
  if (pointer) *pointer = reinterpret_cast<CUdeviceptr>(address);
  if (bytes) *bytes = symbol->st_size;
  return CUDA_SUCCESS;
}
