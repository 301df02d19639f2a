// The twins of kernels/src/cuda/ptx.cuh, which says what each does, in the same order.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

inline float low_bf16(u32 pair) { return __uint_as_float(pair << 16); }
inline float high_bf16(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

inline u32 shared_address(const void* p) { return emulator::shared_handle(p); }

struct LoadMatrixArgs {
  const u8* row;
  u32 (*r)[4];
};

EMULATOR_TWIN void emulated_ldmatrix(u32 (&r)[4], u32 row, bool transposed) {
  LoadMatrixArgs mine = {static_cast<const u8*>(emulator::shared_pointer(row)), &r};
  emulator::reads(mine.row, 16);
  emulator::warp_collective(mine, [transposed](LoadMatrixArgs* const lanes[WARP]) {
    for (int matrix = 0; matrix < 4; matrix++) {
      for (int lane = 0; lane < WARP; lane++) {
        u16 pair[2];
        for (int i = 0; i < 2; i++) {
          int major = lane / 4, minor = lane % 4 * 2 + i;
          int at = transposed ? minor : major, col = transposed ? major : minor;
          std::memcpy(&pair[i], lanes[matrix * 8 + at]->row + 2 * col, 2);
        }
        (*lanes[lane]->r)[matrix] = u32(pair[0]) | u32(pair[1]) << 16;
      }
    }
  });
}

EMULATOR_TWIN void ldmatrix_x4(u32 (&r)[4], u32 row) { emulated_ldmatrix(r, row, false); }
EMULATOR_TWIN void ldmatrix_x4_transposed(u32 (&r)[4], u32 row) { emulated_ldmatrix(r, row, true); }

struct MmaArgs {
  float (*c)[4];
  const u32 (*a)[4];
  const u32 (*b)[2];
};

inline void mma_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  MmaArgs mine = {&c, &a, &b};
  emulator::warp_collective(mine, [](MmaArgs* const lanes[WARP]) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < WARP; lane++) {
      int g = lane / 4, t = lane % 4;
      for (int part = 0; part < 4; part++) {
        float* to = &a[g + part % 2 * 8][2 * t + part / 2 * 8];
        to[0] = low_bf16((*lanes[lane]->a)[part]);
        to[1] = high_bf16((*lanes[lane]->a)[part]);
      }
      for (int part = 0; part < 2; part++) {
        b[2 * t + part * 8][g] = low_bf16((*lanes[lane]->b)[part]);
        b[2 * t + part * 8 + 1][g] = high_bf16((*lanes[lane]->b)[part]);
      }
    }
    for (int lane = 0; lane < WARP; lane++) {
      for (int part = 0; part < 4; part++) {
        int row = lane / 4 + part / 2 * 8, col = lane % 4 * 2 + part % 2;
        float sum = 0.0f;
        for (int k = 0; k < 16; k++) sum += a[row][k] * b[k][col];
        (*lanes[lane]->c)[part] += sum;
      }
    }
  });
}

// Copies happen at once or when they are waited for, as a coin says.
struct PendingCopy {
  void* to;
  const void* from;
  int bytes;
};
inline void complete(const PendingCopy& copy) {
  if (copy.from) std::memcpy(copy.to, copy.from, copy.bytes);
  else std::memset(copy.to, 0, copy.bytes);
}
struct CopyGroup {
  std::vector<PendingCopy> pending;
  unsigned last = 0; // number of its last copy, of either kind
};
struct CopiesOfThread {
  std::deque<CopyGroup> groups;
  CopyGroup open;
};
static emulator::OfBlock<CopiesOfThread> emulated_copies_of_threads[1024];

inline CopiesOfThread& emulated_copies() { return emulated_copies_of_threads[emulator::linear_thread()].get(); }

template <int BYTES> EMULATOR_TWIN void copy_async(void* to, const void* from, bool present) {
  static_assert(BYTES == 4 || BYTES == 16);
  auto odd = [](const void* address) { return reinterpret_cast<uintptr_t>(address) % BYTES != 0; };
  if (odd(to) || odd(from)) emulator::fail("copy_async: an address that is no multiple of its bytes");
  emulator::Unwatched mine;
  PendingCopy copy = {to, present ? from : nullptr, BYTES};
  CopyGroup& group = emulated_copies().open;
  group.last = emulator::begins(emulator::Agent::Copies);
  emulator::writes(emulator::Agent::Copies, to, BYTES);
  if (present) emulator::reads(emulator::Agent::Copies, from, BYTES);
  if (emulated_copy_at_once()) complete(copy);
  else group.pending.push_back(copy);
}

inline void commit_copies() {
  emulator::Unwatched mine;
  CopiesOfThread& copies = emulated_copies();
  copies.groups.push_back(std::move(copies.open));
  copies.open = CopyGroup();
}

template <int N> inline void wait_for_copies() {
  emulator::Unwatched mine;
  auto& groups = emulated_copies().groups;
  while (groups.size() > N) {
    for (const PendingCopy& copy : groups.front().pending) complete(copy);
    emulator::finished(emulator::Agent::Copies, groups.front().last);
    groups.pop_front();
  }
}

inline float fast_exp2(float x) { return exp2f(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }
