// Softmax and cross-entropy of the rows of a matrix, f32, where classes have weights and targets are smoothed.
//
//     q_rc       = w_c ((1 - e) [c = label_r] + e / C)                   m_r = max x_r,  W = sum_r w_label_r
//     loss       = 1/W sum_r sum_c q_rc (m_r - x_rc - log rsum_r)        rsum_r = 1 / sum_c exp(x_rc - m_r)
//     dlogits_rc = dloss / W (Q_r rsum_r exp(x_rc - m_r) - q_rc)         Q_r = sum_c q_rc
//
// A block takes a row and walks over it twice each way, first for the maximum. Classes are few: threads take single
// elements. `own` is 1 - e and `share` e / C.
#include "common.cuh"

__device__ __forceinline__ float greatest_of_row(const float *x, int cols) {
    float greatest = NEGATIVE_INFINITY;
    for (int c = threadIdx.x; c < cols; c += blockDim.x) greatest = nan_max(greatest, x[c]);
    return block_max(greatest);
}

// The loss of each row times W, in f64, which `total` of reduce.cu adds in order, and its rsum.
extern "C" __global__ void weighted_cross_entropy_rows(const float *x, const u32 *labels, const float *weights,
                                                       double *losses, float *rsums, int cols, double own,
                                                       double share) {
    x += size_t(blockIdx.x) * cols;
    float greatest = greatest_of_row(x, cols), sum = 0.0f;
    for (int c = threadIdx.x; c < cols; c += blockDim.x) sum += expf(x[c] - greatest);
    sum = block_sum(sum);
    double log_sum = log(double(sum)), of_all = 0.0;
    auto of_class = [&](int c) { return weights[c] * (double(greatest) - double(x[c]) + log_sum); };
    // Without smoothing, the others are not there: 0 times the loss of a class may be NaN.
    if (share > 0.0) {
        for (int c = threadIdx.x; c < cols; c += blockDim.x) of_all += share * of_class(c);
    }
    of_all = block_sum(of_all);
    if (threadIdx.x == 0) {
        rsums[blockIdx.x] = 1.0f / sum;
        losses[blockIdx.x] = own * of_class(labels[blockIdx.x]) + of_all;
    }
}

// dloss is read here, on the GPU: the host never waits for it. `shared` is what all classes have of a target by
// smoothing, `total` is W.
extern "C" __global__ void weighted_cross_entropy_backward(const float *x, const u32 *labels, const float *weights,
                                                           const float *rsums, const float *dloss, float *dx, int cols,
                                                           double own, double share, double shared, double total) {
    x += size_t(blockIdx.x) * cols;
    dx += size_t(blockIdx.x) * cols;
    int label = labels[blockIdx.x];
    double scale = double(*dloss) / total, of_label = own * weights[label];
    float factor = float(scale * (of_label + shared)) * rsums[blockIdx.x];
    float of_class = float(scale * share), more = float(scale * of_label);
    float greatest = greatest_of_row(x, cols);
    for (int c = threadIdx.x; c < cols; c += blockDim.x) {
        float d = factor * expf(x[c] - greatest) - of_class * weights[c];
        dx[c] = c == label ? d - more : d;
    }
}
