// One vector for each sequence: its first token, or the mean of its tokens. Sequence b is the tokens
// ends[b] .. ends[b + 1] - 1. A block takes a sequence (x) and 32 columns (y), a lane each; its warps share out the
// tokens.
#include "common.cuh"

__device__ __forceinline__ int column() { return blockIdx.y * WARP + lane_of_warp(); }

extern "C" __global__ void pooling_first(const hidden *x, const u32 *ends, hidden *y, int cols) {
    if (column() >= cols || warp_of_block() != 0) return;
    y[size_t(blockIdx.x) * cols + column()] = x[size_t(ends[blockIdx.x]) * cols + column()];
}

// Every warp adds its tokens in their order, then one adds the sums of the warps in theirs.
extern "C" __global__ void pooling_mean(const hidden *x, const u32 *ends, hidden *y, int cols) {
    __shared__ float sums[WARP][WARP];
    int lane = lane_of_warp(), warps = blockDim.x / WARP, col = column();
    u32 first = ends[blockIdx.x], end = ends[blockIdx.x + 1];
    float sum = 0.0f;
    if (col < cols) {
#pragma unroll 4
        for (u32 t = first + warp_of_block(); t < end; t += warps) sum += to_float(x[size_t(t) * cols + col]);
    }
    sums[warp_of_block()][lane] = sum;
    __syncthreads();
    if (warp_of_block() != 0 || col >= cols) return;
    for (int other = 1; other < warps; other++) sum += sums[other][lane];
    y[size_t(blockIdx.x) * cols + col] = from_float<hidden>(sum * (1.0f / (end - first)));
}

// dx_t = dy for the first token, 0 for the others; or dy / len for all.
template <bool FIRST>
__device__ __forceinline__ void backward(const hidden *dy, const u32 *ends, hidden *dx, int cols) {
    int col = column();
    if (col >= cols) return;
    u32 first = ends[blockIdx.x], end = ends[blockIdx.x + 1];
    float share = to_float(dy[size_t(blockIdx.x) * cols + col]);
    if (!FIRST) share *= 1.0f / (end - first);
    for (u32 t = first + warp_of_block(); t < end; t += blockDim.x / WARP) {
        dx[size_t(t) * cols + col] = from_float<hidden>(FIRST && t != first ? 0.0f : share);
    }
}

extern "C" __global__ void pooling_first_backward(const hidden *dy, const u32 *ends, hidden *dx, int cols) {
    backward<true>(dy, ends, dx, cols);
}

extern "C" __global__ void pooling_mean_backward(const hidden *dy, const u32 *ends, hidden *dx, int cols) {
    backward<false>(dy, ends, dx, cols);
}
