// Kernels of self_test.cpp: each shows one thing that the emulator must get right, or one mistake that it must show.
#include "sizes.h"

extern "C" __global__ void indices(unsigned* out) {
  unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  unsigned at = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
  out[at] = threadIdx.x | threadIdx.y << 8 | threadIdx.z << 16 | block << 24;
}

// A macro that writes kernels, and a template with shared memory that they share.
template <class T> __device__ T block_sum(T value) {
  __shared__ T partial[32];
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  T sum = 0;
  for (unsigned w = 0; w < (blockDim.x + 31) / 32; ++w) sum += partial[w];
  __syncthreads();
  return sum;
}
#define SUM_KERNEL(NAME, TYPE)                                                              \
  extern "C" __global__ void __launch_bounds__(BLOCK * 2, 1)                                \
      NAME(const TYPE* __restrict__ in, TYPE* __restrict__ out, int n) {                    \
    TYPE value = 0;                                                                         \
    for (int i = threadIdx.x; i < n; i += blockDim.x) value += in[i];                       \
    TYPE sum = block_sum(value);                                                            \
    if (threadIdx.x == 0) out[blockIdx.x] = sum;                                            \
  }
SUM_KERNEL(sum_float, float)
SUM_KERNEL(sum_double, double)

extern "C" {
__global__ void __launch_bounds__(1024) transpose_static(const float* in, float* out, int n) {
  __shared__ float tile[32][33];
  int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  tile[threadIdx.y][threadIdx.x] = in[y * n + x];
  __syncthreads();
  out[(blockIdx.x * 32 + threadIdx.y) * n + blockIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}
__global__ void transpose_dynamic(const float* in, float* out, int n) {
  float* tile = static_cast<float*>(emulator::dynamic_shared());
  int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  // By way of 32-bit addresses.
  auto tile_address = static_cast<unsigned>(__cvta_generic_to_shared(tile));
  unsigned address = tile_address + 4 * (threadIdx.y * 33 + threadIdx.x);
  *static_cast<float*>(emulator::shared_pointer(address)) = in[y * n + x];
  __syncthreads();
  out[(blockIdx.x * 32 + threadIdx.y) * n + blockIdx.y * 32 + threadIdx.x] = tile[threadIdx.x * 33 + threadIdx.y];
}
}

struct Bounds { int low, high; };
extern "C" __global__ void atomics(int* out, float* sum, Bounds bounds) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < bounds.low || i >= bounds.high) return;
  atomicAdd(&out[0], 1);
  atomicMax(&out[1], i);
  atomicMin(&out[2], i);
  atomicAdd(sum, 0.5f);
  int seen, expected = atomicAdd(&out[3], 0);
  do seen = expected, expected = atomicCAS(&out[3], seen, seen + 2);
  while (expected != seen);
}

// Half of the threads return, some of them out of a warp that goes on.
extern "C" __global__ void early_return(int* out, int limit) {
  __shared__ int count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (threadIdx.x >= static_cast<unsigned>(limit)) return;
  atomicAdd(&count, 1);
  __syncthreads();
  int neighbour = __shfl_down_sync(0xffffffffu, static_cast<int>(threadIdx.x), 1);
  int some = __syncthreads_or(threadIdx.x == 3), all = __syncthreads_and(threadIdx.x < 1000);
  out[threadIdx.x] = count + 1000 * neighbour + (some && all ? 1000000 : 0);
}

// One warp makes, the other takes, twice over one slot: bar.sync and bar.arrive by number.
extern "C" __global__ void named_barriers(int* out) {
  __shared__ int slot[32];
  unsigned lane = threadIdx.x % 32;
  bool producer = threadIdx.x < 32;
  for (int step = 0; step < 4; ++step) {
    if (producer) {
      if (step > 0) emulator::named_barrier(2, 64);
      slot[lane] = step * 100 + lane;
      emulator::named_barrier_arrive(1, 64);
    } else {
      emulator::named_barrier(1, 64);
      out[step * 32 + lane] = slot[lane];
      if (step < 3) emulator::named_barrier_arrive(2, 64);
    }
  }
}

struct Lane { int value, sum; };
extern "C" __global__ void collectives(int* out) {
  Lane mine{static_cast<int>(threadIdx.x), 0};
  emulator::warp_collective(mine, [](Lane* const lanes[32]) {
    int sum = 0;
    for (int i = 0; i < 32; ++i) sum += lanes[i]->value;
    for (int i = 0; i < 32; ++i) lanes[i]->sum = sum;
  });
  Lane group{mine.sum, 0};
  emulator::warpgroup_collective(group, [](Lane* const lanes[128]) {
    for (int i = 0; i < 128; ++i) lanes[i]->sum = lanes[(i + 32) % 128]->value;
  });
  // Both halves of a warp at once, each under its own mask.
  unsigned half = threadIdx.x % 32 / 16, mask = half ? 0xffff0000u : 0x0000ffffu;
  int odd = half ? __popc(__ballot_sync(mask, threadIdx.x & 1)) : static_cast<int>(__reduce_add_sync(mask, 1u));
  out[threadIdx.x] = group.sum + 100000 * odd;
}

extern "C" __global__ void spin(int* out) {
  __shared__ volatile int turn;
  if (threadIdx.x == 0) turn = 0;
  __syncthreads();
  while (turn != static_cast<int>(threadIdx.x)) emulator::yield();
  out[threadIdx.x] = turn;
  turn = turn + 1;
}

extern "C" __global__ void many_blocks(float* out) {
  float sum = block_sum(static_cast<float>(threadIdx.x));
  if (threadIdx.x == 0) out[blockIdx.x] = sum + blockIdx.x;
}
extern "C" __global__ void elementwise(float* data, int n) {
  #pragma unroll
  for (int k = 0; k < 1; ++k)
    if (emulator::twin(expf(0.0f)) != 0x3f800000u) return;
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) data[i] = data[i] * 2.0f + 1.0f;
}

extern "C" __global__ void map_rank(const __grid_constant__ CUtensorMap map, unsigned* out) {
  out[threadIdx.x] = map.mark == map.MARK && reinterpret_cast<size_t>(&map) % 64 == 0 ? map.rank : 0;
}

extern "C" __constant__ float factor = 3.0f;
extern "C" __global__ void times_factor(float* data) { data[threadIdx.x] *= factor; }

// What a product loses by its rounding, if the difference is one operation, and never where the product is its own.
extern "C" __global__ void rounding_errors(const float* a, float b, float product, float* out) {
  out[0] = a[0] * b - product;
  out[1] = __fmul_rn(a[1], b) - product;
}

// ---- What puts accesses in order ----

// Lanes of a warp pass values on, in a circle.
extern "C" __global__ void warp_passes(int* out) {
  __shared__ int slot[BLOCK];
  int warp = threadIdx.x / 32 * 32, next = warp + (threadIdx.x + 1) % 32, sum = 0;
  for (int step = 0; step < 3; ++step) {
    slot[threadIdx.x] = step + threadIdx.x;
    __syncwarp();
    sum += slot[next];
    __syncwarp();
  }
  out[threadIdx.x] = sum;
}

// The last block to come adds up what all wrote; `fenced` is how it should be.
extern "C" __global__ void last_block(int* parts, unsigned* counter, int* out, int fenced) {
  __shared__ bool last;
  parts[blockIdx.x * blockDim.x + threadIdx.x] = threadIdx.x;
  __syncthreads();
  if (threadIdx.x == 0) {
    if (fenced) __threadfence();
    last = atomicAdd(counter, 1u) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!last) return;
  int sum = 0;
  for (unsigned block = 0; block < gridDim.x; ++block) sum += parts[block * blockDim.x + threadIdx.x];
  out[threadIdx.x] = sum;
}

// Reads what another thread writes only where a condition holds, which never does.
extern "C" __global__ void reads_nothing(int* out) {
  __shared__ int data[4], result;
  if (threadIdx.x < 4) data[threadIdx.x] = 0;
  __syncthreads();
  int sum = 0;
  for (int i = 0; i < 4; ++i)
    if (data[i] > 0) sum += result;
  if (threadIdx.x == 1) result = 7;
  __syncthreads();
  out[threadIdx.x] = sum + result;
}

// Each of two blocks leaves a number, the last one adds them up.
enum Wrong { NOTHING, FENCE_TOO_EARLY, COUNT_IN_SHARED };
template <Wrong WRONG> __device__ void blocks_meet(int* out) {
  __shared__ int shared;
  if (threadIdx.x > 0) return;
  int *counter = out, *other = out + 2, *parts = out + 4;
  if (WRONG == FENCE_TOO_EARLY) __threadfence();
  parts[blockIdx.x] = 1;
  if (WRONG == NOTHING) __threadfence();
  bool last = atomicAdd(counter, 1) == 0;  // fresh memory holds -1
  if (WRONG == COUNT_IN_SHARED) __threadfence();
  if (WRONG == COUNT_IN_SHARED) atomicAdd(&shared, 1);
  else if (last) atomicAdd(other, 1);
  __threadfence();
  if (last) out[6] = parts[0] + parts[1], *counter = 0;
}
extern "C" __global__ void two_blocks(int* out) { blocks_meet<NOTHING>(out); }
extern "C" __global__ void race_fence_too_early(int* out) { blocks_meet<FENCE_TOO_EARLY>(out); }
extern "C" __global__ void race_count_in_shared(int* out) { blocks_meet<COUNT_IN_SHARED>(out); }

// Mistakes.

extern "C" __global__ void missing_barrier(int* out) {
  __shared__ int value[BLOCK];
  value[threadIdx.x] = -1;
  __syncthreads();
  value[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = value[(threadIdx.x + 1) % BLOCK];
}
extern "C" __global__ void deadlock(int) {
  if (threadIdx.x < 16) __syncthreads();
  else __syncwarp();
}
extern "C" __global__ void waits_in_vain() {
  __shared__ volatile int never;
  never = 0;
  while (!never) emulator::yield();
}
extern "C" __global__ void traps() {
  if (threadIdx.x == 5) __trap();
  __syncthreads();
}

// Races. Each has one barrier too few, or one of the wrong kind.

extern "C" __global__ void race_write_read(int* out) {
  __shared__ int value[BLOCK];
  value[threadIdx.x] = threadIdx.x;
  __syncwarp();  // of the warp, where another one reads
  out[threadIdx.x] = value[(threadIdx.x + 32) % BLOCK];
}
extern "C" __global__ void race_read_write(int* out) {
  __shared__ int value[BLOCK];
  value[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = value[(threadIdx.x + 1) % BLOCK];
  value[threadIdx.x] = 0;
}
extern "C" __global__ void race_write_write(int* out) {
  auto* value = static_cast<int*>(emulator::dynamic_shared());
  value[threadIdx.x / 2] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = value[threadIdx.x / 2];
}
extern "C" __global__ void race_halves(int* out) {
  auto* value = static_cast<unsigned short*>(emulator::dynamic_shared());
  value[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = *reinterpret_cast<unsigned*>(&value[threadIdx.x / 2 * 2]);
}
extern "C" __global__ void race_fill(int* out) {
  auto* value = static_cast<int*>(emulator::dynamic_shared());
  memset(value, 0, 4 * blockDim.x);
  if (blockIdx.x == 0) out[threadIdx.x] = value[threadIdx.x];
}
extern "C" __global__ void race_move(int* out) {
  auto* value = static_cast<int*>(emulator::dynamic_shared());
  if (blockIdx.x == 0 && threadIdx.x == 0) memcpy(value, out, 4 * blockDim.x);
  if (blockIdx.x == 0) out[threadIdx.x] = value[threadIdx.x];
}
extern "C" __global__ void race_after_shuffle(int* out) {
  __shared__ int value[BLOCK];
  value[threadIdx.x] = threadIdx.x;
  __shfl_xor_sync(0xffffffffu, 0, 1);  // lanes meet, memory is not in order
  out[threadIdx.x] = value[threadIdx.x ^ 1];
}
extern "C" __global__ void race_of_blocks(int* out) { out[threadIdx.x] = blockIdx.x; }
extern "C" __global__ void race_past_arrival(int* out) {
  __shared__ int slot[32];
  if (threadIdx.x < 32) {
    slot[threadIdx.x] = threadIdx.x;
    emulator::named_barrier(1, 64);
  } else {
    emulator::named_barrier_arrive(1, 64);  // does not wait
    out[threadIdx.x] = slot[threadIdx.x % 32];
  }
}
extern "C" __global__ void race_atomic_read(int* out) {
  atomicAdd(&out[0], 1);
  out[threadIdx.x + 1] = out[0];
}
extern "C" __global__ void over_global(const float* in, float* out, int n) { out[threadIdx.x] = in[threadIdx.x + n]; }
extern "C" __global__ void over_static(float* out, int n) {
  __shared__ float a[BLOCK];
  a[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = a[threadIdx.x + n];
}
template <int N> __device__ __forceinline__ float beyond(int n) {
  __shared__ float a[N];
  a[threadIdx.x] = 1;
  __syncthreads();
  return a[threadIdx.x + n];
}
extern "C" __global__ void over_template(float* out, int n) { out[threadIdx.x] = beyond<BLOCK>(n); }
extern "C" __global__ void over_dynamic(float* out, int n) {
  auto* a = static_cast<float*>(emulator::dynamic_shared());
  a[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = a[threadIdx.x + n];
}
extern "C" __global__ void misaligned(const float* in, float4* out, int n) {
  out[threadIdx.x] = *reinterpret_cast<const float4*>(in + n);
}
