// Softmax of the rows of a matrix, f32. A block takes a row: the maximum, the sum, the quotient. The second
// and third walk over a row of up to some thousand columns finds it in the L1 cache.
#include "common.cuh"

extern "C" __global__ void softmax_forward(const float *x, float *y, int cols) {
    x += size_t(blockIdx.x) * cols;
    y += size_t(blockIdx.x) * cols;
    float greatest = NEGATIVE_INFINITY;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) greatest = nan_max(greatest, x[j]);
    greatest = block_max(greatest);
    float sum = 0.0f;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) sum += expf(x[j] - greatest);
    sum = block_sum(sum);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) y[j] = expf(x[j] - greatest) / sum;
}

// dx_j = y_j (dy_j - sum_i y_i dy_i)
extern "C" __global__ void softmax_backward(const float *y, const float *dy, float *dx, int cols) {
    y += size_t(blockIdx.x) * cols;
    dy += size_t(blockIdx.x) * cols;
    dx += size_t(blockIdx.x) * cols;
    float dot = 0.0f;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) dot += y[j] * dy[j];
    dot = block_sum(dot);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) dx[j] = y[j] * (dy[j] - dot);
}
