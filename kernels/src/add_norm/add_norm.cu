// Dropout, residual sum and LayerNorm of the rows of a matrix, in one pass each way.
//
//     z  = r + m x          y  = w xhat + b       xhat = (z - mean) rstd
//     dr = rstd (g - mean(g) - xhat mean(g xhat)), g = w dy       dx = m dr
//     dw = sum over rows of dy xhat       db = sum over rows of dy
//
// All of this is bound by memory, so every row is read once and written once, and a lane asks for all that it holds of
// a row before it waits for the first of it. Up to 1024 columns a warp takes a row and holds it in its registers
// between the walks (PER_LANE elements in each lane); its sums need no barrier. The backward's warps go on to further
// rows, each asked for while the one before is finished, and add up dw and db, in registers too, so that only one
// partial sum a block goes to memory. A longer row is a block's, which walks over it again in the cache.
//
// Lanes of the kernels in registers move chunks of neighbours at once, which addresses and columns must allow. The
// kernels of long rows take all others, too: `packed` says which.
#include "common.cuh"

// ---- A row in the registers of a warp ----

// N elements as they lie in memory. (As an array of bf16 each would take a register while it waits.)
template <int N> struct alignas(N * sizeof(hidden)) Raw {
    u32 words[N * sizeof(hidden) / 4];
};

template <int N> __device__ __forceinline__ void to_floats(const Raw<N> &raw, float (&x)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        u32 word = raw.words[i * sizeof(hidden) / 4];
        if (sizeof(hidden) == 2) word = i % 2 ? word & 0xffff0000u : word << 16;
        x[i] = __uint_as_float(word);
    }
}

// How a row of up to 32 * PER_LANE columns lies in a warp: lane l holds the chunks l, l + 32, ... of N columns, of 16
// bytes where that divides a lane's share.
template <int PER_LANE> struct Shape {
    static constexpr int N = PER_LANE % Wide<hidden>::N == 0 ? Wide<hidden>::N : 4, CHUNKS = PER_LANE / N;
    typedef Raw<N> row[CHUNKS];
    typedef float floats[CHUNKS][N];

    static __device__ __forceinline__ int col(int k) { return (lane_of_warp() + k * WARP) * N; }
};

// Asks for this lane's chunks; those beyond the row are zeros.
template <typename S> __device__ __forceinline__ void load_row(const hidden *row, int cols, typename S::row &to) {
#pragma unroll
    for (int k = 0; k < S::CHUNKS; k++) {
        to[k] = {};
        if (S::col(k) < cols) to[k] = *reinterpret_cast<const Raw<S::N> *>(row + S::col(k));
    }
}

// A chunk of parameters, zeros beyond the row.
template <int N> __device__ __forceinline__ void load_params(const float *w, int col, int cols, float (&to)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) to[i] = 0.0f;
    if (col < cols) load_floats(w + col, to);
}

// ---- Forward ----

struct Forward {
    const hidden *x, *r;
    const float *w, *b;
    hidden *z, *y;
    float *means, *rstds;
    int rows, cols;
    float eps;
    Dropout dropout;
};

// x becomes z, rounded as the backward will see it. Returns its sum.
template <int N>
__device__ __forceinline__ float sum_chunk(const Forward &p, int row, int col, const float (&r)[N], float (&x)[N]) {
    float sum = 0.0f;
    if (drops(p.dropout)) mask_columns(p.dropout, row, col, x);
#pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] = to_float(from_float<hidden>(x[i] + r[i]));
        sum += x[i];
    }
    return sum;
}

template <int N>
__device__ __forceinline__ float squares_of_chunk(const Forward &p, int col, const float (&z)[N], float mean) {
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (col + i < p.cols) squares += (z[i] - mean) * (z[i] - mean);
    }
    return squares;
}

// z becomes y.
template <int N>
__device__ __forceinline__ void normalize_chunk(float mean, float rstd, const float (&w)[N], const float (&b)[N],
                                                float (&z)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) z[i] = (z[i] - mean) * rstd * w[i] + b[i];
}

__device__ __forceinline__ void store_statistics(const Forward &p, int row, float mean, float rstd) {
    p.means[row] = mean;
    p.rstds[row] = rstd;
}

// A warp a row.
template <int PER_LANE> __device__ __forceinline__ void forward_in_registers(const Forward &p) {
    typedef Shape<PER_LANE> S;
    int row = grid_thread() / WARP;
    if (row >= p.rows) return;
    size_t start = size_t(row) * p.cols;
    typename S::row raw_x, raw_r;
    load_row<S>(p.x + start, p.cols, raw_x);
    load_row<S>(p.r + start, p.cols, raw_r);
    typename S::floats z;
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int k = 0; k < S::CHUNKS; k++) {
        float r[S::N];
        to_floats(raw_x[k], z[k]);
        to_floats(raw_r[k], r);
        sum += sum_chunk(p, row, S::col(k), r, z[k]);
        if (S::col(k) < p.cols) store_floats(z[k], p.z + start + S::col(k));
    }
    float mean = warp_sum(sum) / p.cols;
#pragma unroll
    for (int k = 0; k < S::CHUNKS; k++) squares += squares_of_chunk(p, S::col(k), z[k], mean);
    float rstd = 1.0f / sqrtf(warp_sum(squares) / p.cols + p.eps);
#pragma unroll
    for (int k = 0; k < S::CHUNKS; k++) {
        float w[S::N], b[S::N];
        load_params(p.w, S::col(k), p.cols, w);
        load_params(p.b, S::col(k), p.cols, b);
        normalize_chunk(mean, rstd, w, b, z[k]);
        if (S::col(k) < p.cols) store_floats(z[k], p.y + start + S::col(k));
    }
    if (lane_of_warp() == 0) store_statistics(p, row, mean, rstd);
}

// Elements that a thread of the kernels of long rows takes at a time.
constexpr int CHUNK = Wide<hidden>::N;

// A block a row. Every thread reads back the chunks of z that it has written itself.
extern "C" __global__ void add_norm_forward_wide(const hidden *x, const hidden *r, const float *w, const float *b,
                                                 hidden *z, hidden *y, float *means, float *rstds, int rows, int cols,
                                                 int packed, float eps, Dropout dropout) {
    Forward p{x, r, w, b, z, y, means, rstds, rows, cols, eps, dropout};
    int row = blockIdx.x, first = threadIdx.x * CHUNK, step = blockDim.x * CHUNK;
    size_t start = size_t(row) * cols;
    float v[CHUNK], sum = 0.0f, squares = 0.0f;
    for (int col = first; col < cols; col += step) {
        float of_r[CHUNK];
        load_columns(x + start, col, cols, packed, v);
        load_columns(r + start, col, cols, packed, of_r);
        sum += sum_chunk(p, row, col, of_r, v);
        store_columns(v, z + start, col, cols, packed);
    }
    float mean = block_sum(sum) / cols;
    for (int col = first; col < cols; col += step) {
        load_columns(z + start, col, cols, packed, v);
        squares += squares_of_chunk(p, col, v, mean);
    }
    float rstd = 1.0f / sqrtf(block_sum(squares) / cols + eps);
    for (int col = first; col < cols; col += step) {
        float of_w[CHUNK], of_b[CHUNK];
        load_columns(z + start, col, cols, packed, v);
        load_columns(w, col, cols, packed, of_w);
        load_columns(b, col, cols, packed, of_b);
        normalize_chunk(mean, rstd, of_w, of_b, v);
        store_columns(v, y + start, col, cols, packed);
    }
    if (threadIdx.x == 0) store_statistics(p, row, mean, rstd);
}

#define FORWARD(NAME, PER_LANE)                                                                                       \
    extern "C" __global__ void NAME(const hidden *x, const hidden *r, const float *w, const float *b, hidden *z,     \
                                    hidden *y, float *means, float *rstds, int rows, int cols, float eps,            \
                                    Dropout dropout) {                                                               \
        forward_in_registers<PER_LANE>(Forward{x, r, w, b, z, y, means, rstds, rows, cols, eps, dropout});     \
    }

FORWARD(add_norm_forward_8, 8)
FORWARD(add_norm_forward_12, 12)
FORWARD(add_norm_forward_16, 16)
FORWARD(add_norm_forward_24, 24)
FORWARD(add_norm_forward_32, 32)

// ---- Backward ----

// Threads of a block of the kernels in registers, which need many of them.
#define BACKWARD_BLOCK 128

struct Backward {
    const hidden *z;
    const float *means, *rstds, *w;
    const hidden *dy;
    hidden *dr, *dx; // dx with dropout only
    int rows, cols;
    Dropout dropout;
};

// What a row sums up, and then its means.
struct Sums {
    float g = 0.0f, gx = 0.0f;
};

template <int N> __device__ __forceinline__ void center_chunk(float mean, float rstd, float (&z)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) z[i] = (z[i] - mean) * rstd;
}

// dy becomes g = w dy, rounded by itself (__fmul_rn) as in layer_norm.cu; adds g and g xhat to the sums.
template <int N>
__device__ __forceinline__ void scale_chunk(const float (&w)[N], const float (&xhat)[N], float (&dy)[N],
                                            Sums &sums) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        dy[i] = __fmul_rn(dy[i], w[i]);
        sums.g += dy[i];
        sums.gx += dy[i] * xhat[i];
    }
}

// g becomes dr.
template <int N>
__device__ __forceinline__ void finish_chunk(float rstd, Sums means, const float (&xhat)[N], float (&g)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) g[i] = rstd * (g[i] - means.g - xhat[i] * means.gx);
}

// What a lane adds up over its rows.
template <typename S> struct Params {
    typename S::floats dw = {}, db = {};
};

// What a lane has asked for of a row.
template <typename S> struct Asked {
    typename S::row z, dy;
    float mean, rstd;

    __device__ __forceinline__ void ask(const Backward &p, int row) {
        size_t start = size_t(row) * p.cols;
        load_row<S>(p.z + start, p.cols, z);
        load_row<S>(p.dy + start, p.cols, dy);
        mean = p.means[row];
        rstd = p.rstds[row];
    }
};

// xhat and g of a row and their sums. Beyond the row dy is 0, and so is its share of every sum.
template <typename S>
__device__ __forceinline__ Sums take_row(const Backward &p, const Asked<S> &asked, typename S::floats &xhat,
                                         typename S::floats &g, Params<S> &params) {
    Sums sums;
#pragma unroll
    for (int k = 0; k < S::CHUNKS; k++) {
        to_floats(asked.z[k], xhat[k]);
        to_floats(asked.dy[k], g[k]);
        center_chunk(asked.mean, asked.rstd, xhat[k]);
#pragma unroll
        for (int i = 0; i < S::N; i++) {
            params.dw[k][i] += g[k][i] * xhat[k][i];
            params.db[k][i] += g[k][i];
        }
        float w[S::N];
        load_params(p.w, S::col(k), p.cols, w);
        scale_chunk(w, xhat[k], g[k], sums);
    }
    return sums;
}

// The means of a row, the same in all lanes; the two sums side by side, as each step waits for the one before.
__device__ __forceinline__ Sums means_of_warp(Sums sums, int cols) {
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        float g = __shfl_xor_sync(FULL_WARP, sums.g, step), gx = __shfl_xor_sync(FULL_WARP, sums.gx, step);
        sums.g += g;
        sums.gx += gx;
    }
    return {sums.g / cols, sums.gx / cols};
}

// dr of a row, and dx where something is dropped.
template <typename S>
__device__ __forceinline__ void store_row(const Backward &p, int row, float rstd, Sums means,
                                          const typename S::floats &xhat, typename S::floats &g) {
    size_t start = size_t(row) * p.cols;
#pragma unroll
    for (int k = 0; k < S::CHUNKS; k++) {
        int col = S::col(k);
        if (col >= p.cols) continue;
        finish_chunk(rstd, means, xhat[k], g[k]);
        store_floats(g[k], p.dr + start + col);
        if (!drops(p.dropout)) continue;
        mask_columns(p.dropout, row, col, g[k]);
        store_floats(g[k], p.dx + start + col);
    }
}

// The sums of the block's warps, added in their order, to row blockIdx.x of `partial`, [blocks, 2 cols]. Element i of
// chunk k of a lane is in the lane's bank: the warps take turns, and others wait.
template <typename S> __device__ __forceinline__ void store_params(const Params<S> &params, float *partial, int cols) {
    __shared__ float sums[2][S::CHUNKS * S::N][WARP];
    int lane = lane_of_warp();
    for (int warp = 0; warp < BACKWARD_BLOCK / WARP; warp++) {
        if (warp_of_block() == warp) {
#pragma unroll
            for (int i = 0; i < S::CHUNKS * S::N; i++) {
                sums[0][i][lane] = (warp == 0 ? 0.0f : sums[0][i][lane]) + params.dw[i / S::N][i % S::N];
                sums[1][i][lane] = (warp == 0 ? 0.0f : sums[1][i][lane]) + params.db[i / S::N][i % S::N];
            }
        }
        __syncthreads();
    }
    partial += size_t(blockIdx.x) * 2 * cols;
    for (int col = threadIdx.x; col < cols; col += blockDim.x) {
        int chunk = col / S::N, at = chunk / WARP * S::N + col % S::N;
        partial[col] = sums[0][at][chunk % WARP];
        partial[cols + col] = sums[1][at][chunk % WARP];
    }
}

// A warp takes every (gridDim.x * warps)-th row. It asks for the next one as soon as the registers for it are free,
// and the memory answers while this one is summed up, masked and stored.
template <int PER_LANE> __device__ __forceinline__ void backward_in_registers(const Backward &p, float *partial) {
    typedef Shape<PER_LANE> S;
    Params<S> params;
    Asked<S> asked = {};
    int row = grid_thread() / WARP, step = grid_threads() / WARP;
    if (row < p.rows) asked.ask(p, row);
    for (; row < p.rows; row += step) {
        typename S::floats xhat, g;
        float rstd = asked.rstd;
        Sums sums = take_row<S>(p, asked, xhat, g, params);
        if (row + step < p.rows) asked.ask(p, row + step);
        store_row<S>(p, row, rstd, means_of_warp(sums, p.cols), xhat, g);
    }
    store_params<S>(params, partial, p.cols);
}

// BLOCKS: how many of them a multiprocessor has registers for, as in cuda.rs.
#define BACKWARD(NAME, PER_LANE, BLOCKS)                                                                              \
    extern "C" __global__ void __launch_bounds__(BACKWARD_BLOCK, BLOCKS)                                              \
        NAME(const hidden *z, const float *means, const float *rstds, const float *w, const hidden *dy, hidden *dr,  \
             hidden *dx, int rows, int cols, Dropout dropout, float *partial) {                                      \
        Backward p{z, means, rstds, w, dy, dr, dx, rows, cols, dropout};                                       \
        backward_in_registers<PER_LANE>(p, partial);                                                                 \
    }

BACKWARD(add_norm_backward_8, 8, 6)
BACKWARD(add_norm_backward_12, 12, 5)
BACKWARD(add_norm_backward_16, 16, 4)
BACKWARD(add_norm_backward_24, 24, 3)
BACKWARD(add_norm_backward_32, 32, 2)

// A block a row, without dw and db, which layer_norm.cu adds up along columns.
extern "C" __global__ void add_norm_backward_wide(const hidden *z, const float *means, const float *rstds,
                                                  const float *w, const hidden *dy, hidden *dr, hidden *dx, int rows,
                                                  int cols, int packed, Dropout dropout) {
    int row = blockIdx.x, first = threadIdx.x * CHUNK, step = blockDim.x * CHUNK;
    size_t start = size_t(row) * cols;
    float mean = means[row], rstd = rstds[row], xhat[CHUNK], g[CHUNK];
    Sums sums, unused;
    auto load = [&](int col, Sums &to) {
        float of_w[CHUNK];
        load_columns(w, col, cols, packed, of_w);
        load_columns(z + start, col, cols, packed, xhat);
        load_columns(dy + start, col, cols, packed, g);
        center_chunk(mean, rstd, xhat);
        scale_chunk(of_w, xhat, g, to);
    };
    for (int col = first; col < cols; col += step) load(col, sums);
    Sums of_row = {block_sum(sums.g) / cols, block_sum(sums.gx) / cols};
    for (int col = first; col < cols; col += step) {
        load(col, unused);
        finish_chunk(rstd, of_row, xhat, g);
        store_columns(g, dr + start, col, cols, packed);
        if (!drops(dropout)) continue;
        mask_columns(dropout, row, col, g);
        store_columns(g, dx + start, col, cols, packed);
    }
}
