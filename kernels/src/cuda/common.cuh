// What every kernel shares: element types, vector accesses, sums over warps and blocks, random numbers.
//
// Kernels are compiled at run time, once for hidden states in f32 and once for bf16 (HIDDEN_BF16): `hidden` is
// the type of those, arithmetic is f32. No header of the CUDA toolkit is needed, so NVRTC needs no include path.
// Sizes of rows and columns are int, counts of elements size_t.
#pragma once

#ifndef EMULATED_GPU
typedef unsigned long size_t;
#endif
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WARP 32
#define FULL_WARP 0xffffffffu
#define NEGATIVE_INFINITY __int_as_float(0xff800000)

// ---- Elements ----

// The upper half of an f32.
struct bf16 {
    u16 bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float(u32(x.bits) << 16); }

#ifdef EMULATED_GPU
#include "emulated_common.h" // of tests/emulator/device, like all that is included so; no real compiler sees it
#else

// The nearest bf16; of two equally near ones the even one. NaN stays NaN.
__device__ __forceinline__ bf16 to_bf16(float x) {
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

// Two of them in one register, the first in the lower half.
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

// 16 bytes of global memory in one access, which the address must be a multiple of.
__device__ __forceinline__ void store_words(const u32 (&words)[4], void *to) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};"
                 :: "l"(__cvta_generic_to_global(to)), "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
                 : "memory");
}

// Shared memory whose size the launch says, aligned to 1024 bytes as the tensor copies of Hopper want it.
template <typename T> __device__ __forceinline__ T *dynamic_shared() {
    extern __shared__ __align__(1024) u8 dynamic_shared_memory[];
    return reinterpret_cast<T *>(dynamic_shared_memory);
}

#endif

template <typename T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return to_bf16(x); }

#ifdef HIDDEN_BF16
typedef bf16 hidden;
#else
typedef float hidden;
#endif

// N elements that move in one access; at most 16 bytes, which the address must be a multiple of.
template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
    T at[N];
};

// As many elements as the widest access, of 16 bytes, takes.
template <typename T> struct Wide {
    static const int N = 16 / sizeof(T);
    typedef Pack<T, N> pack;
};

// N neighbours, in accesses of up to 16 bytes, which the address must be a multiple of.
template <typename T, int N>
__device__ __forceinline__ void load_floats(const T *from, float (&to)[N]) {
    constexpr int STEP = N < Wide<T>::N ? N : Wide<T>::N;
#pragma unroll
    for (int i = 0; i < N; i += STEP) {
        Pack<T, STEP> pack = *reinterpret_cast<const Pack<T, STEP> *>(from + i);
#pragma unroll
        for (int k = 0; k < STEP; k++) to[i + k] = to_float(pack.at[k]);
    }
}

template <typename T, int N>
__device__ __forceinline__ void store_floats(const float (&from)[N], T *to) {
    constexpr int STEP = N < Wide<T>::N ? N : Wide<T>::N;
#pragma unroll
    for (int i = 0; i < N; i += STEP) {
        Pack<T, STEP> pack;
#pragma unroll
        for (int k = 0; k < STEP; k++) pack.at[k] = from_float<T>(from[i + k]);
        *reinterpret_cast<Pack<T, STEP> *>(to + i) = pack;
    }
}

// The columns col .. col + N - 1 of a row of `cols`, zeros beyond its end. `packed`: columns are a multiple of N and
// the row is aligned, so that all N are there or none, and they move together; else one by one.
template <typename T, int N>
__device__ __forceinline__ void load_columns(const T *row, int col, int cols, bool packed, float (&to)[N]) {
    if (packed && col < cols) return load_floats(row + col, to);
#pragma unroll
    for (int i = 0; i < N; i++) to[i] = col + i < cols ? to_float(row[col + i]) : 0.0f;
}

// The same columns, those that there are.
template <typename T, int N>
__device__ __forceinline__ void store_columns(const float (&from)[N], T *row, int col, int cols, bool packed) {
    if (packed && col < cols) return store_floats(from, row + col);
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (col + i < cols) row[col + i] = from_float<T>(from[i]);
    }
}

// Which elements of a matrix operand are neighbours in memory: those along K, the axis that a product sums over, or
// those along the other one. The numbers are the transpose bits of wgmma.
enum Major { K_MAJOR = 0, MN_MAJOR = 1 };

// ---- Threads ----

// The number of this thread in a grid of one dimension, and of all its threads.
__device__ __forceinline__ size_t grid_thread() {
    return size_t(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ size_t grid_threads() { return size_t(gridDim.x) * blockDim.x; }

__device__ __forceinline__ int lane_of_warp() { return threadIdx.x % WARP; }
__device__ __forceinline__ int warp_of_block() { return threadIdx.x / WARP; }

// ---- Maps ----

// A number of elements that the compiler knows.
template <int N> struct Width {
    static constexpr int n = N;
};

// Calls body(i, width) for the elements i .. i + width.n of n, shared out to the threads of the grid: N at a time
// for the first `packs` of them, then one by one.
template <int N, typename Body> __device__ __forceinline__ void for_each_pack(size_t n, size_t packs, Body body) {
    for (size_t i = grid_thread(); i < packs; i += grid_threads()) body(i * N, Width<N>());
    for (size_t i = packs * N + grid_thread(); i < n; i += grid_threads()) body(i, Width<1>());
}

// Calls body(row, col) for the first of each N neighbouring columns of rows of `cols`, shared out to the threads of the
// grid; the last ones of a row may be fewer than N. A thread's next columns are always as far away, so that their place
// is found by additions and not by a division.
template <int N, typename Body> __device__ __forceinline__ void for_each_chunk(size_t rows, u32 cols, Body body) {
    size_t chunks = (cols + N - 1) / N, step = grid_threads(), row_step = step / chunks, chunk_step = step % chunks;
    size_t row = grid_thread() / chunks, chunk = grid_thread() % chunks;
    while (row < rows) {
        body(row, int(chunk * N));
        row += row_step;
        chunk += chunk_step;
        if (chunk >= chunks) {
            chunk -= chunks;
            row++;
        }
    }
}

// y_i = f(x_i), 16 bytes at a time.
template <typename T, typename F>
__device__ __forceinline__ void map(const T *x, T *y, size_t n, size_t packs, F f) {
    for_each_pack<Wide<T>::N>(n, packs, [=](size_t i, auto width) {
        float v[width.n];
        load_floats(x + i, v);
#pragma unroll
        for (int k = 0; k < width.n; k++) v[k] = f(v[k]);
        store_floats(v, y + i);
    });
}

// y_i = f(a_i, b_i), 16 bytes at a time; y may be a or b.
template <typename T, typename F>
__device__ __forceinline__ void map2(const T *a, const T *b, T *y, size_t n, size_t packs, F f) {
    for_each_pack<Wide<T>::N>(n, packs, [=](size_t i, auto width) {
        float v[width.n], w[width.n];
        load_floats(a + i, v);
        load_floats(b + i, w);
#pragma unroll
        for (int k = 0; k < width.n; k++) v[k] = f(v[k], w[k]);
        store_floats(v, y + i);
    });
}

// ---- Sums and maxima, the same in all threads, added in a fixed order ----

template <typename T> __device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(FULL_WARP, x, step);
    return x;
}

// NaN wins, unlike with fmaxf.
__device__ __forceinline__ float nan_max(float a, float b) { return a > b || isnan(a) ? a : b; }

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) x = nan_max(x, __shfl_xor_sync(FULL_WARP, x, step));
    return x;
}

// Over a block of whole warps, in one dimension. Every thread must call it.
template <typename T> __device__ __forceinline__ T block_sum(T x) {
    __shared__ T partial[WARP];
    x = warp_sum(x);
    __syncthreads(); // an earlier sum may still be read
    if (lane_of_warp() == 0) partial[warp_of_block()] = x;
    __syncthreads();
    T mine = lane_of_warp() < int(blockDim.x) / WARP ? partial[lane_of_warp()] : T(0);
    return warp_sum(mine);
}

__device__ __forceinline__ float block_max(float x) {
    __shared__ float partial[WARP];
    x = warp_max(x);
    __syncthreads();
    if (lane_of_warp() == 0) partial[warp_of_block()] = x;
    __syncthreads();
    float mine = lane_of_warp() < int(blockDim.x) / WARP ? partial[lane_of_warp()] : NEGATIVE_INFINITY;
    return warp_max(mine);
}

// ---- Random numbers: Philox4x32-10, as in kernels/src/philox ----

// Which elements are dropped: those whose 32 bits are below `threshold`. `scale` is 0 where nothing is dropped
// at all. The kernel parameter of every op with dropout; kernels/src/cuda/args.rs has the same fields.
struct Dropout {
    u32 seed_low, seed_high, step, site;
    u32 threshold;
    float scale;
};

__device__ __forceinline__ bool drops(const Dropout &d) { return d.scale != 0.0f; }

// The four words of a counter.
__device__ __forceinline__ uint4 philox(const Dropout &d, u32 block, u32 row) {
    u32 c0 = block, c1 = row, c2 = d.site, c3 = d.step, k0 = d.seed_low, k1 = d.seed_high;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        u32 high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        u32 high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(c0, c1, c2, c3);
}

// The factors of the columns 4 * block .. 4 * block + 3 of a row: 0 or `scale`.
__device__ __forceinline__ float4 dropout_mask(const Dropout &d, u32 block, u32 row) {
    uint4 bits = philox(d, block, row);
    return make_float4(bits.x < d.threshold ? 0.0f : d.scale, bits.y < d.threshold ? 0.0f : d.scale,
                       bits.z < d.threshold ? 0.0f : d.scale, bits.w < d.threshold ? 0.0f : d.scale);
}

// The N columns from `col` on times their mask, four a call of the generator.
template <int N> __device__ __forceinline__ void mask_columns(const Dropout &d, u32 row, int col, float (&v)[N]) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        float4 mask = dropout_mask(d, (col + i) / 4, row);
        v[i] *= mask.x;
        v[i + 1] *= mask.y;
        v[i + 2] *= mask.z;
        v[i + 3] *= mask.w;
    }
}

// The factor of one element. The word is chosen without an indexed array, which would leave the registers.
__device__ __forceinline__ float dropout_factor(const Dropout &d, u32 row, u32 col) {
    uint4 bits = philox(d, col / 4, row);
    u32 pair_low = col & 1 ? bits.y : bits.x, pair_high = col & 1 ? bits.w : bits.z;
    return (col & 2 ? pair_high : pair_low) < d.threshold ? 0.0f : d.scale;
}
