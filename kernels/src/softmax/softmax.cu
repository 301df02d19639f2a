// Softmax of the rows of a matrix, f32: the maximum, the sum, the quotient. A team of threads takes a row: a block
// where rows are long, a warp where they are short, so that logits of two classes do not keep 256 threads. The
// second and third walk over a row of up to some thousand columns finds it in the L1 cache.
#include "common.cuh"

struct BlockTeam {
    static __device__ __forceinline__ size_t row() { return blockIdx.x; }
    static __device__ __forceinline__ int member() { return threadIdx.x; }
    static __device__ __forceinline__ int members() { return blockDim.x; }
    static __device__ __forceinline__ float sum(float x) { return block_sum(x); }
    static __device__ __forceinline__ float max(float x) { return block_max(x); }
};

struct WarpTeam {
    static __device__ __forceinline__ size_t row() { return grid_thread() / WARP; }
    static __device__ __forceinline__ int member() { return lane_of_warp(); }
    static __device__ __forceinline__ int members() { return WARP; }
    static __device__ __forceinline__ float sum(float x) { return warp_sum(x); }
    static __device__ __forceinline__ float max(float x) { return warp_max(x); }
};

template <typename Team> __device__ __forceinline__ void forward(const float *x, float *y, int rows, int cols) {
    if (Team::row() >= rows) return; // the whole team
    x += Team::row() * cols;
    y += Team::row() * cols;
    float greatest = NEGATIVE_INFINITY, sum = 0.0f;
    for (int j = Team::member(); j < cols; j += Team::members()) greatest = nan_max(greatest, x[j]);
    greatest = Team::max(greatest);
    for (int j = Team::member(); j < cols; j += Team::members()) sum += expf(x[j] - greatest);
    sum = Team::sum(sum);
    for (int j = Team::member(); j < cols; j += Team::members()) y[j] = expf(x[j] - greatest) / sum;
}

// dx_j = y_j (dy_j - sum_i y_i dy_i)
template <typename Team>
__device__ __forceinline__ void backward(const float *y, const float *dy, float *dx, int rows, int cols) {
    if (Team::row() >= rows) return;
    y += Team::row() * cols;
    dy += Team::row() * cols;
    dx += Team::row() * cols;
    float dot = 0.0f;
    for (int j = Team::member(); j < cols; j += Team::members()) dot += y[j] * dy[j];
    dot = Team::sum(dot);
    for (int j = Team::member(); j < cols; j += Team::members()) dx[j] = y[j] * (dy[j] - dot);
}

extern "C" __global__ void softmax_forward_block(const float *x, float *y, int rows, int cols) {
    forward<BlockTeam>(x, y, rows, cols);
}

extern "C" __global__ void softmax_forward_warp(const float *x, float *y, int rows, int cols) {
    forward<WarpTeam>(x, y, rows, cols);
}

extern "C" __global__ void softmax_backward_block(const float *y, const float *dy, float *dx, int rows, int cols) {
    backward<BlockTeam>(y, dy, dx, rows, cols);
}

extern "C" __global__ void softmax_backward_warp(const float *y, const float *dy, float *dx, int rows, int cols) {
    backward<WarpTeam>(y, dy, dx, rows, cols);
}
