// What cuTensorMapEncodeTiled writes into the 128 bytes of a CUtensorMap here. On a GPU they are opaque.
#pragma once

namespace emulator {

enum class Swizzle : unsigned char { None = 0, B32 = 1, B64 = 2, B128 = 3 };

struct alignas(64) TensorMap {
  static constexpr unsigned MARK = 0x7e4504a9;  // tells an encoded map from other bytes

  unsigned long long address;
  unsigned long long dims[5];     // elements, innermost first
  unsigned long long strides[4];  // bytes from one element of dimension i + 1 to the next
  unsigned short box[5];          // elements of one copy, innermost first
  unsigned char element_strides[5];
  unsigned char rank;
  unsigned char element_type;  // CUtensorMapDataType: 0 u8, 1 u16, 2 u32, 3 i32, 4 u64, 5 i64, 6 f16, 7 f32, 8 f64, 9 bf16
  unsigned char element_bytes;
  unsigned char interleave;
  Swizzle swizzle;
  unsigned char l2_promotion;
  unsigned char nan_fill;  // 1: elements outside are NaN, 0: zero
  unsigned mark;
};

static_assert(sizeof(TensorMap) == 128, "a CUtensorMap has 128 bytes");

}  // namespace emulator

typedef emulator::TensorMap CUtensorMap;
