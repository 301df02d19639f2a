// Mean squared error, f32. The forward leaves a partial sum per block, which `total` of reduce.cu adds in order; the
// backward is a map of one element to one element.
#include "common.cuh"

extern "C" __global__ void mse_partials(const float *x, const float *t, double *partial, size_t n, size_t packs) {
    double sum = 0.0;
    for_each_pack<4>(n, packs, [&](size_t i, auto width) {
        float v[width.n], w[width.n];
        load_floats(x + i, v);
        load_floats(t + i, w);
#pragma unroll
        for (int k = 0; k < width.n; k++) {
            double difference = v[k] - w[k];
            sum += difference * difference;
        }
    });
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// dx_i = dloss 2/n (x_i - t_i); dloss is read here, so that no one waits for it.
extern "C" __global__ void mse_backward(const float *x, const float *t, const float *dloss, float *dx, size_t n,
                                        size_t packs) {
    float scale = float(2.0 * *dloss / double(n));
    map2(x, t, dx, n, packs, [=](float x, float t) { return scale * (x - t); });
}
