// Softmax and cross-entropy of the rows of a matrix, f32, in one.
//
//     loss       = mean over rows of  m_r - x_r,label - log rsum_r          m_r = max x_r
//     dlogits_rc = dloss / rows (rsum_r exp(x_rc - m_r) - [c = label_r])    rsum_r = 1 / sum_c exp(x_rc - m_r)
//
// A block takes a row and walks over it twice each way, first for the maximum; the second time a row, even of a
// vocabulary, is in the cache. A row begins where the one before ends, at any multiple of 4 bytes: threads take
// single elements up to the first multiple of 16 bytes, then four at a time.
#include "common.cuh"

#define PACK 4

// Elements before the first multiple of 16 bytes.
__device__ __forceinline__ int unaligned_head(const float *x, int n) {
    int head = -(reinterpret_cast<size_t>(x) / sizeof(float)) % PACK;
    return head < n ? head : n;
}

// Calls f(column, values) for this thread's share of the row: N values each time.
template <typename Many, typename One>
__device__ __forceinline__ void each_column(const float *x, int cols, Many many, One one) {
    int head = unaligned_head(x, cols), packs = (cols - head) / PACK, tail = head + packs * PACK;
    if (int(threadIdx.x) < head) one(threadIdx.x, x[threadIdx.x]);
    for (int i = threadIdx.x; i < packs; i += blockDim.x) {
        float v[PACK];
        load_floats(x + head + i * PACK, v);
        many(head + i * PACK, v);
    }
    if (tail + int(threadIdx.x) < cols) one(tail + threadIdx.x, x[tail + threadIdx.x]);
}

__device__ __forceinline__ float greatest_of_row(const float *x, int cols) {
    float greatest = NEGATIVE_INFINITY;
    each_column(
        x, cols,
        [&](int, const float(&v)[PACK]) {
#pragma unroll
            for (int k = 0; k < PACK; k++) greatest = nan_max(greatest, v[k]);
        },
        [&](int, float v) { greatest = nan_max(greatest, v); });
    return block_max(greatest);
}

// The loss of each row, in f64, which `total` of reduce.cu adds in order, and its rsum.
extern "C" __global__ void cross_entropy_rows(const float *x, const u32 *labels, double *losses, float *rsums,
                                              int cols) {
    x += size_t(blockIdx.x) * cols;
    float greatest = greatest_of_row(x, cols), sum = 0.0f;
    each_column(
        x, cols,
        [&](int, const float(&v)[PACK]) {
#pragma unroll
            for (int k = 0; k < PACK; k++) sum += expf(v[k] - greatest);
        },
        [&](int, float v) { sum += expf(v - greatest); });
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        rsums[blockIdx.x] = 1.0f / sum;
        losses[blockIdx.x] = double(greatest) - double(x[labels[blockIdx.x]]) + log(double(sum));
    }
}

// dloss is read here, on the GPU: the host never waits for it.
extern "C" __global__ void cross_entropy_backward(const float *x, const u32 *labels, const float *rsums,
                                                  const float *dloss, float *dx, int cols) {
    x += size_t(blockIdx.x) * cols;
    dx += size_t(blockIdx.x) * cols;
    float scale = float(double(*dloss) / gridDim.x), factor = scale * rsums[blockIdx.x];
    float greatest = greatest_of_row(x, cols);
    int label = labels[blockIdx.x];
    auto gradient = [&](int col, float v) {
        float d = factor * expf(v - greatest);
        return col == label ? d - scale : d;
    };
    // x may be a view that begins elsewhere than dx, modulo 16 bytes.
    bool packed = unaligned_head(x, PACK) == unaligned_head(dx, PACK);
    each_column(
        x, cols,
        [&](int col, float(&v)[PACK]) {
#pragma unroll
            for (int k = 0; k < PACK; k++) v[k] = gradient(col + k, v[k]);
            if (packed) return store_floats(v, dx + col);
#pragma unroll
            for (int k = 0; k < PACK; k++) dx[col + k] = v[k];
        },
        [&](int col, float v) { dx[col] = gradient(col, v); });
}
