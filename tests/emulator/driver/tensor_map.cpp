// cuTensorMapEncodeTiled: checks what the real one checks and keeps all parameters.
#include "../device/tensor_map.h"

#include <cstring>

#include "api.h"

namespace emulator {
namespace {

constexpr unsigned ELEMENT_BYTES[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};  // by CUtensorMapDataType
constexpr unsigned ELEMENT_TYPES = sizeof ELEMENT_BYTES / sizeof ELEMENT_BYTES[0];
constexpr unsigned SWIZZLE_SPAN[] = {~0u, 32, 64, 128};

bool is_float(unsigned type) { return type >= 6; }

bool shape_is_right(const TensorMap& map) {
  for (unsigned i = 0; i < map.rank; ++i) {
    if (map.dims[i] == 0 || map.dims[i] > 1ull << 32) return false;
    if (map.box[i] == 0 || map.box[i] > 256) return false;
    if (map.element_strides[i] == 0 || map.element_strides[i] > 8) return false;
  }
  for (unsigned i = 0; i + 1 < map.rank; ++i)
    if (map.strides[i] % 16 != 0 || map.strides[i] >= 1ull << 40) return false;
  unsigned inner = map.box[0] * map.element_bytes;
  return inner % 16 == 0 && inner <= SWIZZLE_SPAN[static_cast<int>(map.swizzle)];
}

}  // namespace
}  // namespace emulator

using namespace emulator;

EXPORT CUresult cuTensorMapEncodeTiled(void* result, unsigned type, unsigned rank, void* address,
                                       const unsigned long long* dims, const unsigned long long* strides,
                                       const unsigned* box, const unsigned* element_strides, unsigned interleave,
                                       unsigned swizzle, unsigned l2_promotion, unsigned nan_fill) {
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;  // not documented, but asking is safe
  if (capability() < 90) return CUDA_ERROR_NOT_SUPPORTED;
  if (type >= ELEMENT_TYPES || interleave != 0 || swizzle > 3) return CUDA_ERROR_NOT_SUPPORTED;
  if (!result || reinterpret_cast<uintptr_t>(result) % 64 != 0 || rank < 1 || rank > 5) return CUDA_ERROR_INVALID_VALUE;
  if (!address || reinterpret_cast<uintptr_t>(address) % 16 != 0 || l2_promotion > 3) return CUDA_ERROR_INVALID_VALUE;
  if (nan_fill > 1 || (nan_fill && !is_float(type))) return CUDA_ERROR_INVALID_VALUE;
  TensorMap map{};
  map.address = reinterpret_cast<uintptr_t>(address);
  for (unsigned i = 0; i < rank; ++i) {
    if (box[i] > 256 || element_strides[i] > 8) return CUDA_ERROR_INVALID_VALUE;  // before they are cut to fewer bits
    map.dims[i] = dims[i];
    map.box[i] = static_cast<unsigned short>(box[i]);
    map.element_strides[i] = static_cast<unsigned char>(element_strides[i]);
    if (i + 1 < rank) map.strides[i] = strides[i];
  }
  map.rank = static_cast<unsigned char>(rank);
  map.element_type = static_cast<unsigned char>(type);
  map.element_bytes = static_cast<unsigned char>(ELEMENT_BYTES[type]);
  map.swizzle = static_cast<Swizzle>(swizzle);
  map.l2_promotion = static_cast<unsigned char>(l2_promotion);
  map.nan_fill = static_cast<unsigned char>(nan_fill);
  map.mark = TensorMap::MARK;
  if (!shape_is_right(map)) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(result, &map, sizeof map);
  return CUDA_SUCCESS;
}
