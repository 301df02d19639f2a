// Binary cross-entropy of logits, f32. The forward leaves a partial sum per block, which `total` of reduce.cu adds
// in order; the backward is a map of one element to one element.
#include "common.cuh"

// max(x, 0) - x t + ln(1 + exp(-|x|))
__device__ __forceinline__ float loss(float x, float t) {
    return fmaxf(x, 0.0f) - x * t + log1pf(expf(-fabsf(x)));
}

extern "C" __global__ void bce_partials(const float *x, const float *t, double *partial, size_t n, size_t packs) {
    double sum = 0.0;
    for_each_pack<4>(n, packs, [&](size_t i, auto width) {
        float v[width.n], w[width.n];
        load_floats(x + i, v);
        load_floats(t + i, w);
#pragma unroll
        for (int k = 0; k < width.n; k++) sum += loss(v[k], w[k]);
    });
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// dx_i = dloss / n (sigmoid(x_i) - t_i); dloss is read here, so that no one waits for it.
extern "C" __global__ void bce_backward(const float *x, const float *t, const float *dloss, float *dx, size_t n,
                                        size_t packs) {
    float scale = float(*dloss / double(n));
    map2(x, t, dx, n, packs, [=](float x, float t) {
        float e = expf(-fabsf(x));
        return scale * ((x > 0.0f ? 1.0f : e) / (1.0f + e) - t);
    });
}
