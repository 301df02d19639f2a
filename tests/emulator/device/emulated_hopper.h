// The twins of kernels/src/cuda/hopper.cuh, which says what each does, in the same order.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <vector>

using emulator::shared_handle;

// ---- Barriers ----
//
// In the 64 bits: whether it was made, the phase, arrivals of a phase, arrivals and bytes that this one still waits
// for.
struct EmulatedBarrier {
  u8 made, phase;
  u16 arrivals, missing;
  short unused;
  static EmulatedBarrier& of(Barrier* barrier) {
    auto& it = *reinterpret_cast<EmulatedBarrier*>(barrier);
    if (it.made != 0xb5) emulator::fail("a barrier that was not initialized");
    return it;
  }
};

// Tensor copies land at once or when their barrier is waited for, as a coin says.
struct PendingBox {
  u8* to;
  TensorMap map;
  int x, y;
};
struct Traffic {
  long long missing_bytes = 0; // still to come; copies may come before their announcement
  std::vector<PendingBox> boxes;
};
static emulator::OfBlock<std::map<Barrier*, Traffic>> traffic_of_barriers;

inline Traffic& traffic_of(Barrier* barrier) { return traffic_of_barriers.get()[barrier]; }

// The pattern of the swizzle: an address in shared memory with bits 4-6 xor bits 7-9.
inline u32 swizzled_128(u32 address) { return address ^ (address >> 3 & 0x70); }

inline emulator::TensorMap map_of(const PendingBox& box) {
  emulator::TensorMap map;
  std::memcpy(&map, &box.map, sizeof map);
  if (map.mark != emulator::TensorMap::MARK || map.rank != 2) emulator::fail("not a map of a matrix");
  if (map.swizzle != emulator::Swizzle::B128) emulator::fail("a tensor map without 128-byte swizzle");
  bool fits = map.box[0] * map.element_bytes == 128 && shared_handle(box.to) % 1024 == 0;
  if (!fits) emulator::fail("a box that is not 128 bytes wide and aligned to 1024");
  return map;
}

// Copies a box; the number of its bytes.
inline int land(const PendingBox& box) {
  emulator::TensorMap map = map_of(box);
  int width = map.box[0] * map.element_bytes;
  u32 start = shared_handle(box.to);
  for (int row = 0; row < map.box[1]; row++) {
    for (int col = 0; col < map.box[0]; col++) {
      long long x = box.x + col, y = box.y + row;
      bool inside = x >= 0 && y >= 0 && x < (long long)map.dims[0] && y < (long long)map.dims[1];
      void* to = emulator::shared_pointer(swizzled_128(start + row * width + col * map.element_bytes));
      const u8* from = reinterpret_cast<const u8*>(map.address) + y * (long long)map.strides[0];
      if (inside) std::memcpy(to, from + x * map.element_bytes, map.element_bytes);
      else std::memset(to, 0, map.element_bytes);
    }
  }
  return width * map.box[1];
}

inline void end_phase_if_complete(Barrier* barrier) {
  auto& it = EmulatedBarrier::of(barrier);
  if (it.missing == 0 && traffic_of(barrier).missing_bytes == 0) {
    emulator::phase_ends(barrier);
    it.phase ^= 1;
    it.missing = it.arrivals;
  }
}

EMULATOR_TWIN void barrier_init(Barrier* barrier, int arrivals) {
  emulator::writes(barrier, sizeof *barrier);
  emulator::Unwatched mine;
  EmulatedBarrier fresh = {0xb5, 0, u16(arrivals), u16(arrivals), 0};
  std::memcpy(barrier, &fresh, sizeof fresh);
  traffic_of(barrier) = Traffic();
}

inline void barriers_ready() {}

EMULATOR_TWIN void barrier_arrive_expect(Barrier* barrier, int bytes) {
  emulator::atomic(barrier, sizeof *barrier);
  emulator::arrives_at(barrier);
  emulator::Unwatched mine;
  auto& it = EmulatedBarrier::of(barrier);
  if (it.missing == 0) emulator::fail("more arrivals at a barrier than it was initialized for");
  traffic_of(barrier).missing_bytes += bytes;
  it.missing--;
  end_phase_if_complete(barrier);
}

EMULATOR_TWIN void barrier_arrive(Barrier* barrier) { barrier_arrive_expect(barrier, 0); }

inline void land_at(Barrier* barrier, const PendingBox& box) {
  traffic_of(barrier).missing_bytes -= land(box);
  emulator::lands_at(barrier);
}

EMULATOR_TWIN void barrier_wait(Barrier* barrier, int parity) {
  emulator::atomic(barrier, sizeof *barrier);
  emulator::Unwatched mine;
  while (EmulatedBarrier::of(barrier).phase == (parity & 1)) {
    std::vector<PendingBox> boxes;
    boxes.swap(traffic_of(barrier).boxes);
    for (auto& box : boxes) land_at(barrier, box);
    if (!boxes.empty()) end_phase_if_complete(barrier);
    else emulator::yield();
  }
  emulator::has_awaited(barrier);
}

// ---- Tensor copies ----

// Calls with(place in shared memory but for the swizzle, place in the matrix, bytes) for each row of the part of a box
// that is inside of its matrix.
template <class With> EMULATOR_TWIN void rows_inside(const PendingBox& box, With&& with) {
  emulator::TensorMap map = map_of(box);
  long long left = box.x, right = left + map.box[0], cols = map.dims[0], rows = map.dims[1];
  left = left < 0 ? 0 : left, right = right > cols ? cols : right;
  for (long long y = box.y; y < box.y + map.box[1]; y++) {
    if (y < 0 || y >= rows || left >= right) continue;
    u8* at = reinterpret_cast<u8*>(map.address) + y * (long long)map.strides[0] + left * map.element_bytes;
    u32 place = shared_handle(box.to) + (y - box.y) * 128 + (left - box.x) * map.element_bytes;
    with(place, at, (right - left) * map.element_bytes);
  }
}

// For the detector of races: what the box has of its matrix is read, all of its place is written.
EMULATOR_TWIN void moves(emulator::Agent engine, const PendingBox& box) {
  emulator::begins(engine);
  emulator::writes(engine, box.to, 128 * map_of(box).box[1]);
  rows_inside(box, [engine](u32, u8* at, long long bytes) { emulator::reads(engine, at, bytes); });
}

EMULATOR_TWIN void copy_box(void* to, const TensorMap& map, int x, int y, Barrier* barrier) {
  emulator::atomic(barrier, sizeof *barrier);
  emulator::Unwatched mine;
  PendingBox box = {static_cast<u8*>(to), map, x, y};
  if (EMULATOR_RACES) moves({emulator::Agent::Engine, barrier}, box);
  if (emulated_copy_at_once()) {
    land_at(barrier, box);
    end_phase_if_complete(barrier);
  } else {
    traffic_of(barrier).boxes.push_back(box);
  }
}

// Boxes on their way back, which leave at once or when their group is waited for.
struct StoreGroup {
  std::vector<PendingBox> boxes;
  unsigned last = 0; // number of the last one
};
struct StoresOfThread {
  std::deque<StoreGroup> groups;
  StoreGroup open;
  bool shown = false; // whether there was a fence since the last group
};
static emulator::OfBlock<StoresOfThread> emulated_stores_of_threads[1024];

inline StoresOfThread& emulated_stores() { return emulated_stores_of_threads[emulator::linear_thread()].get(); }

inline void show_to_engine() {
  emulator::Unwatched mine;
  emulated_stores().shown = true;
}

inline void leave(const PendingBox& box) {
  rows_inside(box, [](u32 from, u8* to, long long bytes) {
    for (long long i = 0; i < bytes; i++) std::memcpy(to + i, emulator::shared_pointer(swizzled_128(from + i)), 1);
  });
}

EMULATOR_TWIN void store_box(const TensorMap& map, int x, int y, const void* from) {
  emulator::Unwatched mine;
  auto& stores = emulated_stores();
  if (!stores.shown) emulator::fail("a box is stored without a fence that shows it to the copy engine");
  PendingBox box = {static_cast<u8*>(const_cast<void*>(from)), map, x, y};
  if (EMULATOR_RACES) {
    stores.open.last = emulator::begins(emulator::Agent::Copies);
    emulator::reads(emulator::Agent::Copies, from, 128 * map_of(box).box[1]);
    rows_inside(box, [](u32, u8* to, long long bytes) { emulator::writes(emulator::Agent::Copies, to, bytes); });
  }
  if (emulated_copy_at_once()) leave(box);
  else stores.open.boxes.push_back(box);
}

inline void commit_stores() {
  emulator::Unwatched mine;
  auto& stores = emulated_stores();
  stores.groups.push_back(std::move(stores.open));
  stores.open = StoreGroup();
  stores.shown = false;
}

template <int N> inline void wait_for_stores() {
  emulator::Unwatched mine;
  auto& groups = emulated_stores().groups;
  while (groups.size() > N) {
    for (auto& box : groups.front().boxes) leave(box);
    emulator::finished(emulator::Agent::Copies, groups.front().last);
    groups.pop_front();
  }
}

struct StoreMatrixArgs {
  u8* row;
  const u32 (*r)[4];
};

EMULATOR_TWIN void stmatrix_x4(void* row, const u32 (&r)[4]) {
  StoreMatrixArgs mine = {static_cast<u8*>(row), &r};
  emulator::writes(row, 16);
  emulator::warp_collective(mine, [](StoreMatrixArgs* const lanes[WARP]) {
    for (int matrix = 0; matrix < 4; matrix++)
      for (int lane = 0; lane < WARP; lane++)
        std::memcpy(lanes[matrix * 8 + lane / 4]->row + lane % 4 * 4, &(*lanes[lane]->r)[matrix], 4);
  });
}

inline void prefetch_map(const TensorMap&) {}

// ---- Products of a warpgroup ----
//
// A product reads its operands and writes its sums when its group is waited for, not when it is issued.
struct PendingProduct {
  std::vector<float*> sums; // of each of the 128 lanes
  int cols;
  u64 a, b;
  Major major_a, major_b;
  bool accumulate;
};
struct ProductGroup {
  std::vector<PendingProduct> products;
  unsigned last = 0; // number of its last product
};
struct EmulatedWarpgroup {
  std::deque<ProductGroup> groups;
  ProductGroup open;
  unsigned finished = 0; // number of the last product that was waited for
  bool fenced = false;
};
static emulator::OfBlock<EmulatedWarpgroup> emulated_warpgroups[8];

inline EmulatedWarpgroup& emulated_warpgroup() { return emulated_warpgroups[emulator::linear_thread() / 128].get(); }

// Where element (mn, k) of a matrix is, by the canonical layouts of 128-byte swizzle in units of elements of bf16:
// K-major ((8, m), (8, 2 k)) : ((64, SBO), (1, 8)) and MN-major ((8, 8, m), (8, k)) : ((1, 8, LBO), (64, SBO)).
inline void* matrix_place(u64 descriptor, Major major, int mn, int k) {
  if (descriptor >> 62 != 1) emulator::fail("a descriptor without 128-byte swizzle");
  if (descriptor >> 49 & 7) emulator::fail("a base offset, for a pattern that starts at a multiple of 1024");
  u32 address = (descriptor & 0x3fff) << 4;
  u32 leading = (descriptor >> 16 & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
  if (major == K_MAJOR) address += mn / 8 * stride + mn % 8 * 128 + k * 2;
  else address += mn / 64 * leading + mn % 64 * 2 + k / 8 * stride + k % 8 * 128;
  return emulator::shared_pointer(swizzled_128(address));
}

EMULATOR_UNSEEN float matrix_element(u64 descriptor, Major major, int mn, int k) {
  bf16 element;
  std::memcpy(&element, matrix_place(descriptor, major, mn, k), 2);
  return to_float(element);
}

// For the detector of races: the 16 of K of `mns` rows or columns from `first` on are read, in chunks of 16 bytes.
EMULATOR_TWIN void reads_matrix(u64 descriptor, Major major, int first, int mns) {
  int mn_step = major == K_MAJOR ? 1 : 8, k_step = major == K_MAJOR ? 8 : 1;
  for (int mn = first; mn < first + mns; mn += mn_step)
    for (int k = 0; k < 16; k += k_step)
      emulator::reads(emulator::Agent::Products, matrix_place(descriptor, major, mn, k), 16);
}

EMULATOR_UNSEEN void compute(const PendingProduct& p) {
  std::vector<float> a(64 * 16), b(16 * p.cols);
  for (int k = 0; k < 16; k++) {
    for (int row = 0; row < 64; row++) a[row * 16 + k] = matrix_element(p.a, p.major_a, row, k);
    for (int col = 0; col < p.cols; col++) b[col * 16 + k] = matrix_element(p.b, p.major_b, col, k);
  }
  for (int lane = 0; lane < 128; lane++) {
    for (int i = 0; i < p.cols / 2; i++) {
      int row = lane / 32 * 16 + lane % 32 / 4 + i / 2 % 2 * 8, col = i / 4 * 8 + lane % 4 * 2 + i % 2;
      float sum = 0.0f;
      for (int k = 0; k < 16; k++) sum += a[row * 16 + k] * b[col * 16 + k];
      float* to = &p.sums[lane][i];
      *to = p.accumulate ? *to + sum : sum;
    }
  }
}

inline void wgmma_fence() {
  char nothing = 0;
  emulator::warpgroup_collective(nothing, [](char* const*) { emulated_warpgroup().fenced = true; });
}

inline void wgmma_commit() {
  char nothing = 0;
  emulator::warpgroup_collective(nothing, [](char* const*) {
    auto& mine = emulated_warpgroup();
    mine.groups.push_back(std::move(mine.open));
    mine.open = ProductGroup();
    mine.fenced = false;
  });
}

template <int GROUPS> inline void wgmma_wait() {
  char nothing = 0;
  emulator::warpgroup_collective(nothing, [](char* const*) {
    auto& groups = emulated_warpgroup().groups;
    while (groups.size() > GROUPS) {
      for (auto& product : groups.front().products) compute(product);
      emulated_warpgroup().finished = groups.front().last;
      groups.pop_front();
    }
  });
  emulator::Unwatched mine;
  emulator::finished(emulator::Agent::Products, emulated_warpgroup().finished);
}

template <int N> inline void wgmma_wait_all(float (&)[N]) { wgmma_wait<0>(); }

struct WgmmaArgs {
  float* sums;
  u64 a, b;
  int accumulate;
};

template <Major MAJOR_A, Major MAJOR_B, int N>
EMULATOR_TWIN void wgmma(float (&sums)[N], u64 a, u64 b, int accumulate) {
  WgmmaArgs mine = {sums, a, b, accumulate};
  emulator::warpgroup_collective(mine, [](WgmmaArgs* const* lanes) {
    auto& warpgroup = emulated_warpgroup();
    if (!warpgroup.fenced) emulator::fail("the first wgmma of a group without wgmma.fence");
    PendingProduct product = {{}, 2 * N, lanes[0]->a, lanes[0]->b, MAJOR_A, MAJOR_B, lanes[0]->accumulate != 0};
    for (int lane = 0; lane < 128; lane++) {
      bool same = lanes[lane]->a == product.a && lanes[lane]->b == product.b;
      if (!same) emulator::fail("wgmma: lanes with different operands");
      product.sums.push_back(lanes[lane]->sums);
    }
    warpgroup.open.last = emulator::begins(emulator::Agent::Products);
    warpgroup.open.products.push_back(product);
  });
  // Each warp reads its rows of A and all of B, and must itself have waited for them.
  if (EMULATOR_RACES && emulator::lane() == 0) {
    reads_matrix(a, MAJOR_A, emulator::linear_thread() / WARP % 4 * 16, 16);
    reads_matrix(b, MAJOR_B, 0, 2 * N);
  }
}

template <int N> inline void fewer_registers() {}
template <int N> inline void more_registers() {}
