// Dropout, residual sum and LayerNorm of the rows of a matrix, in one pass each way.
//
//     z  = r + m x          y  = w xhat + b       xhat = (z - mean) rstd
//     dr = rstd (g - mean(g) - xhat mean(g xhat)), g = w dy       dx = m dr
//     dw = sum over rows of dy xhat       db = sum over rows of dy
//
// All of this is bound by memory, so every row is read once and written once. Up to 1024 columns a warp takes a row
// and holds it in its registers between the walks (PER_LANE elements in each lane); its sums need no barrier. The
// backward's warps go on to further rows and add up dw and db, in registers too, so that only one partial sum a
// block goes to memory. A longer row is a block's, which walks over it again in the cache.
//
// Lanes move CHUNK neighbouring elements at a time, 16 bytes of hidden states; `packed` says that addresses and
// columns allow it. Else the same elements are moved one by one.
#include "common.cuh"

constexpr int CHUNK = Wide<hidden>::N;

// The chunk from column col on times its mask, four columns a call of the generator.
__device__ __forceinline__ void mask_chunk(const Dropout &dropout, u32 row, int col, float (&v)[CHUNK]) {
#pragma unroll
    for (int i = 0; i < CHUNK; i += 4) {
        float4 mask = dropout_mask(dropout, (col + i) / 4, row);
        v[i] *= mask.x;
        v[i + 1] *= mask.y;
        v[i + 2] *= mask.z;
        v[i + 3] *= mask.w;
    }
}

// ---- Forward ----

struct Forward {
    const hidden *x, *r;
    const float *w, *b;
    hidden *z, *y;
    float *means, *rstds;
    int rows, cols, packed;
    float eps;
    Dropout dropout;
};

// A chunk of z, stored and, as the backward will see it, rounded. Returns its sum: beyond the row z is 0.
__device__ __forceinline__ float sum_chunk(const Forward &p, int row, int col, float (&z)[CHUNK]) {
    size_t start = size_t(row) * p.cols;
    float r[CHUNK], sum = 0.0f;
    load_columns(p.x + start, col, p.cols, p.packed, z);
    load_columns(p.r + start, col, p.cols, p.packed, r);
    if (drops(p.dropout)) mask_chunk(p.dropout, row, col, z);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
        z[i] = to_float(from_float<hidden>(z[i] + r[i]));
        sum += z[i];
    }
    store_columns(z, p.z + start, col, p.cols, p.packed);
    return sum;
}

__device__ __forceinline__ float squares_of_chunk(const Forward &p, int col, const float (&z)[CHUNK], float mean) {
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
        if (col + i < p.cols) squares += (z[i] - mean) * (z[i] - mean);
    }
    return squares;
}

__device__ __forceinline__ void normalize_chunk(const Forward &p, int row, int col, float (&z)[CHUNK], float mean,
                                                float rstd) {
    float w[CHUNK], b[CHUNK];
    load_columns(p.w, col, p.cols, p.packed, w);
    load_columns(p.b, col, p.cols, p.packed, b);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) z[i] = (z[i] - mean) * rstd * w[i] + b[i];
    store_columns(z, p.y + size_t(row) * p.cols, col, p.cols, p.packed);
}

// A warp a row; lane l holds the chunks l, l + 32, ...
template <int CHUNKS> __device__ __forceinline__ void forward_in_registers(const Forward &p) {
    int row = grid_thread() / WARP, lane = lane_of_warp();
    if (row >= p.rows) return;
    float z[CHUNKS][CHUNK], sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) sum += sum_chunk(p, row, (lane + k * WARP) * CHUNK, z[k]);
    float mean = warp_sum(sum) / p.cols;
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) squares += squares_of_chunk(p, (lane + k * WARP) * CHUNK, z[k], mean);
    float rstd = 1.0f / sqrtf(warp_sum(squares) / p.cols + p.eps);
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) normalize_chunk(p, row, (lane + k * WARP) * CHUNK, z[k], mean, rstd);
    if (lane == 0) {
        p.means[row] = mean;
        p.rstds[row] = rstd;
    }
}

// A block a row. Every thread reads back the chunks of z that it has written itself.
__device__ __forceinline__ void forward_in_cache(const Forward &p) {
    int row = blockIdx.x, first = threadIdx.x * CHUNK, step = blockDim.x * CHUNK;
    const hidden *row_of_z = p.z + size_t(row) * p.cols;
    float z[CHUNK], sum = 0.0f, squares = 0.0f;
    for (int col = first; col < p.cols; col += step) sum += sum_chunk(p, row, col, z);
    float mean = block_sum(sum) / p.cols;
    for (int col = first; col < p.cols; col += step) {
        load_columns(row_of_z, col, p.cols, p.packed, z);
        squares += squares_of_chunk(p, col, z, mean);
    }
    float rstd = 1.0f / sqrtf(block_sum(squares) / p.cols + p.eps);
    for (int col = first; col < p.cols; col += step) {
        load_columns(row_of_z, col, p.cols, p.packed, z);
        normalize_chunk(p, row, col, z, mean, rstd);
    }
    if (threadIdx.x == 0) {
        p.means[row] = mean;
        p.rstds[row] = rstd;
    }
}

#define FORWARD(NAME, BODY)                                                                                           \
    extern "C" __global__ void NAME(const hidden *x, const hidden *r, const float *w, const float *b, hidden *z,     \
                                    hidden *y, float *means, float *rstds, int rows, int cols, int packed,           \
                                    float eps, Dropout dropout) {                                                    \
        BODY(Forward{x, r, w, b, z, y, means, rstds, rows, cols, packed, eps, dropout});                             \
    }

FORWARD(add_norm_forward_8, forward_in_registers<8 / CHUNK>)
FORWARD(add_norm_forward_16, forward_in_registers<16 / CHUNK>)
FORWARD(add_norm_forward_24, forward_in_registers<24 / CHUNK>)
FORWARD(add_norm_forward_32, forward_in_registers<32 / CHUNK>)
FORWARD(add_norm_forward_wide, forward_in_cache)

// ---- Backward ----

// Threads of a block of the kernels in registers, which need many of them.
#define BACKWARD_BLOCK 128
#define BACKWARD_BLOCKS 3

struct Backward {
    const hidden *z;
    const float *means, *rstds, *w;
    const hidden *dy;
    hidden *dr, *dx; // dx with dropout only
    int rows, cols, packed;
    Dropout dropout;
};

// xhat and dy of a chunk. Beyond the row dy is 0, and so is its share of every sum.
__device__ __forceinline__ void load_gradient(const Backward &p, int row, int col, float (&xhat)[CHUNK],
                                              float (&dy)[CHUNK]) {
    size_t start = size_t(row) * p.cols;
    float mean = p.means[row], rstd = p.rstds[row];
    load_columns(p.z + start, col, p.cols, p.packed, xhat);
    load_columns(p.dy + start, col, p.cols, p.packed, dy);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) xhat[i] = (xhat[i] - mean) * rstd;
}

// dy becomes g = w dy; adds g and g xhat to the sums.
__device__ __forceinline__ void scale_gradient(const Backward &p, int col, const float (&xhat)[CHUNK],
                                               float (&dy)[CHUNK], float &g_sum, float &gx_sum) {
    float w[CHUNK];
    load_columns(p.w, col, p.cols, p.packed, w);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
        dy[i] *= w[i];
        g_sum += dy[i];
        gx_sum += dy[i] * xhat[i];
    }
}

// dr, and dx where something is dropped.
__device__ __forceinline__ void store_gradient(const Backward &p, int row, int col, const float (&xhat)[CHUNK],
                                               float (&g)[CHUNK], float g_mean, float gx_mean) {
    size_t start = size_t(row) * p.cols;
    float rstd = p.rstds[row];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) g[i] = rstd * (g[i] - g_mean - xhat[i] * gx_mean);
    store_columns(g, p.dr + start, col, p.cols, p.packed);
    if (!drops(p.dropout)) return;
    mask_chunk(p.dropout, row, col, g);
    store_columns(g, p.dx + start, col, p.cols, p.packed);
}

// What a lane adds up over its rows.
template <int CHUNKS> struct Params {
    float dw[CHUNKS][CHUNK] = {}, db[CHUNKS][CHUNK] = {};
};

template <int CHUNKS>
__device__ __forceinline__ void backward_of_row(const Backward &p, int row, Params<CHUNKS> &params) {
    float xhat[CHUNKS][CHUNK], g[CHUNKS][CHUNK], g_sum = 0.0f, gx_sum = 0.0f;
    int first = lane_of_warp() * CHUNK;
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) {
        int col = first + k * WARP * CHUNK;
        load_gradient(p, row, col, xhat[k], g[k]);
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
            params.dw[k][i] += g[k][i] * xhat[k][i];
            params.db[k][i] += g[k][i];
        }
        scale_gradient(p, col, xhat[k], g[k], g_sum, gx_sum);
    }
    float g_mean = warp_sum(g_sum) / p.cols, gx_mean = warp_sum(gx_sum) / p.cols;
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) store_gradient(p, row, first + k * WARP * CHUNK, xhat[k], g[k], g_mean, gx_mean);
}

// The sums of the block's warps, added in their order, to row blockIdx.x of `partial`, [blocks, 2 cols].
template <int CHUNKS>
__device__ __forceinline__ void store_params(const Params<CHUNKS> &params, float *partial, int cols) {
    __shared__ float sums[2][CHUNKS * WARP * CHUNK];
    for (int warp = 0; warp < BACKWARD_BLOCK / WARP; warp++) {
        if (warp_of_block() == warp) {
#pragma unroll
            for (int k = 0; k < CHUNKS; k++) {
#pragma unroll
                for (int i = 0; i < CHUNK; i++) {
                    int col = (lane_of_warp() + k * WARP) * CHUNK + i;
                    sums[0][col] = (warp == 0 ? 0.0f : sums[0][col]) + params.dw[k][i];
                    sums[1][col] = (warp == 0 ? 0.0f : sums[1][col]) + params.db[k][i];
                }
            }
        }
        __syncthreads();
    }
    partial += size_t(blockIdx.x) * 2 * cols;
    for (int col = threadIdx.x; col < cols; col += blockDim.x) {
        partial[col] = sums[0][col];
        partial[cols + col] = sums[1][col];
    }
}

// A warp takes every (gridDim.x * warps)-th row.
template <int CHUNKS> __device__ __forceinline__ void backward_in_registers(const Backward &p, float *partial) {
    Params<CHUNKS> params;
    for (int row = grid_thread() / WARP; row < p.rows; row += grid_threads() / WARP) backward_of_row(p, row, params);
    store_params(params, partial, p.cols);
}

#define BACKWARD(NAME, PER_LANE)                                                                                      \
    extern "C" __global__ void __launch_bounds__(BACKWARD_BLOCK, BACKWARD_BLOCKS)                                     \
        NAME(const hidden *z, const float *means, const float *rstds, const float *w, const hidden *dy, hidden *dr,  \
             hidden *dx, int rows, int cols, int packed, Dropout dropout, float *partial) {                          \
        Backward p{z, means, rstds, w, dy, dr, dx, rows, cols, packed, dropout};                                     \
        backward_in_registers<PER_LANE / CHUNK>(p, partial);                                                         \
    }

BACKWARD(add_norm_backward_8, 8)
BACKWARD(add_norm_backward_16, 16)
BACKWARD(add_norm_backward_24, 24)
BACKWARD(add_norm_backward_32, 32)

// A block a row, without dw and db, which layer_norm.cu adds up along columns.
extern "C" __global__ void add_norm_backward_wide(const hidden *z, const float *means, const float *rstds,
                                                  const float *w, const hidden *dy, hidden *dr, hidden *dx, int rows,
                                                  int cols, int packed, Dropout dropout) {
    Backward p{z, means, rstds, w, dy, dr, dx, rows, cols, packed, dropout};
    int row = blockIdx.x, first = threadIdx.x * CHUNK, step = blockDim.x * CHUNK;
    float xhat[CHUNK], g[CHUNK], g_sum = 0.0f, gx_sum = 0.0f, unused = 0.0f;
    for (int col = first; col < cols; col += step) {
        load_gradient(p, row, col, xhat, g);
        scale_gradient(p, col, xhat, g, g_sum, gx_sum);
    }
    float g_mean = block_sum(g_sum) / cols, gx_mean = block_sum(gx_sum) / cols;
    for (int col = first; col < cols; col += step) {
        load_gradient(p, row, col, xhat, g);
        scale_gradient(p, col, xhat, g, unused, unused);
        store_gradient(p, row, col, xhat, g, g_mean, gx_mean);
    }
}
