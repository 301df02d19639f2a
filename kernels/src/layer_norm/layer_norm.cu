// LayerNorm of the rows of a matrix.
//
//     y_j  = w_j xhat_j + b_j                   xhat = (x - mean) rstd; b may be a null pointer, for zeros
//     dx_j = rstd (g_j - mean(g) - xhat_j mean(g xhat))        g = w dy
//     dw_j = sum over rows of dy_j xhat_j       db_j = sum over rows of dy_j
//
// y and dy are hidden states, all else is f32.
//
// In y and dx a block takes a row, each thread every blockDim.x-th column. The variance is a second walk over the
// centred row, never E[x^2] - E[x]^2; that walk and the third find the row in the L1 cache. g is rounded by itself
// (__fmul_rn) in its mean and in the difference from it: were one of the two fused with its sum, equal g would not
// cancel. dw and db run along columns: a thread takes a column of ROW_BLOCK rows, so that neighbouring threads read
// neighbouring addresses, and a second kernel adds up the blocks of rows in a fixed order.
#include "common.cuh"

extern "C" __global__ void layer_norm_forward(const float *x, const float *w, const float *b, hidden *y, float *means,
                                              float *rstds, int cols, float eps) {
    x += size_t(blockIdx.x) * cols;
    y += size_t(blockIdx.x) * cols;
    float sum = 0.0f;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) sum += x[j];
    float mean = block_sum(sum) / cols;
    float squares = 0.0f;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) squares += (x[j] - mean) * (x[j] - mean);
    float rstd = 1.0f / sqrtf(block_sum(squares) / cols + eps);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) {
        y[j] = from_float<hidden>((x[j] - mean) * rstd * w[j] + (b ? b[j] : 0.0f));
    }
    if (threadIdx.x == 0) {
        means[blockIdx.x] = mean;
        rstds[blockIdx.x] = rstd;
    }
}

extern "C" __global__ void layer_norm_backward_input(const float *x, const float *w, const float *means,
                                                     const float *rstds, const hidden *dy, float *dx, int cols) {
    x += size_t(blockIdx.x) * cols;
    dy += size_t(blockIdx.x) * cols;
    dx += size_t(blockIdx.x) * cols;
    float mean = means[blockIdx.x], rstd = rstds[blockIdx.x];
    float g_sum = 0.0f, gx_sum = 0.0f;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) {
        float g = __fmul_rn(w[j], to_float(dy[j]));
        g_sum += g;
        gx_sum += g * ((x[j] - mean) * rstd);
    }
    float g_mean = block_sum(g_sum) / cols, gx_mean = block_sum(gx_sum) / cols;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) {
        dx[j] = rstd * (__fmul_rn(w[j], to_float(dy[j])) - g_mean - (x[j] - mean) * rstd * gx_mean);
    }
}

// ---- dw and db ----

// Rows of one partial sum; kernels/src/layer_norm/cuda.rs has the same number.
#define ROW_BLOCK 64

// Row blockIdx.x of `partial`, [blocks, 2 cols]: dw, then db, of a block of rows.
template <typename T>
__device__ __forceinline__ void backward_params(const T *x, const float *means, const float *rstds, const hidden *dy,
                                                float *partial, int rows, int cols) {
    int col = blockIdx.y * blockDim.x + threadIdx.x;
    if (col >= cols) return;
    int first = blockIdx.x * ROW_BLOCK, end = rows - first < ROW_BLOCK ? rows : first + ROW_BLOCK;
    float dw = 0.0f, db = 0.0f;
#pragma unroll 4
    for (int row = first; row < end; row++) {
        size_t i = size_t(row) * cols + col;
        float d = to_float(dy[i]);
        dw += d * ((to_float(x[i]) - means[row]) * rstds[row]);
        db += d;
    }
    partial += size_t(blockIdx.x) * 2 * cols;
    partial[col] = dw;
    partial[cols + col] = db;
}

extern "C" __global__ void layer_norm_backward_params(const float *x, const float *means, const float *rstds,
                                                      const hidden *dy, float *partial, int rows, int cols) {
    backward_params(x, means, rstds, dy, partial, rows, cols);
}

// For add_norm, whose x is a hidden state.
extern "C" __global__ void layer_norm_backward_params_of_hidden(const hidden *x, const float *means,
                                                                const float *rstds, const hidden *dy, float *partial,
                                                                int rows, int cols) {
    backward_params(x, means, rstds, dy, partial, rows, cols);
}

// Warps of the blocks that add these up, and rows that each asks for before it adds the first: 512 rows, more than the
// blocks of a GPU leave, are then on their way at once, and the kernel waits for memory once.
#define ADD_WARPS 32
#define IN_FLIGHT 16

// The columns of `partial`, [blocks, 2 cols], added up. A block takes 32 of them, a lane each; its warps take rows in
// turn. Then each warp adds up one column, a lane for the sum of each warp.
extern "C" __global__ void __launch_bounds__(ADD_WARPS * WARP)
    layer_norm_add_partials(const float *partial, float *dw, float *db, int blocks, int cols) {
    __shared__ float sums[ADD_WARPS][WARP + 1]; // a column is in as many banks as a row is
    int lane = lane_of_warp(), warp = warp_of_block(), col = blockIdx.x * WARP + lane;
    float sum = 0.0f;
    for (int row = warp; col < 2 * cols && row < blocks; row += IN_FLIGHT * ADD_WARPS) {
        // Beyond the end, the last row again: a branch around a load would wait for it.
        float v[IN_FLIGHT];
#pragma unroll
        for (int i = 0; i < IN_FLIGHT; i++) {
            v[i] = partial[size_t(min(row + i * ADD_WARPS, blocks - 1)) * 2 * cols + col];
        }
#pragma unroll
        for (int i = 0; i < IN_FLIGHT; i++) sum += row + i * ADD_WARPS < blocks ? v[i] : 0.0f;
    }
    sums[warp][lane] = sum;
    __syncthreads();
    sum = warp_sum(sums[lane][warp]);
    col = blockIdx.x * WARP + warp;
    if (lane == 0 && col < 2 * cols) *(col < cols ? dw + col : db + col - cols) = sum;
}
