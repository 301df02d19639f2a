// Activation functions, f32 arithmetic on hidden states. Maps of one element to one element: a thread takes 16
// bytes at a time (`packs` of them), in loops over the grid. See mod.rs for the equations.
#include "normal.cuh"

#define GELU_2C 1.5957691216057308f // 2 sqrt(2 / pi)
#define GELU_K 0.044715f

struct Sigmoid {
    float value, slope;
};

// With e = exp(-|x|): no overflow and no cancellation on either side.
__device__ __forceinline__ Sigmoid sigmoid(float x) {
    float e = expf(-fabsf(x));
    float near_one = __fdividef(1.0f, 1.0f + e), near_zero = e * near_one;
    return {x > 0.0f ? near_one : near_zero, near_zero * near_one};
}

__device__ __forceinline__ float gelu_dx(float x, float dy) {
    Normal p = normal(x);
    return dy * fmaf(within_far(x), p.density, p.cdf);
}

// 2 u = 2 c (x + k x^3)
__device__ __forceinline__ float twice_u(float x) { return x * fmaf(GELU_2C * GELU_K * x, x, GELU_2C); }

__device__ __forceinline__ float gelu_tanh_value(float x) {
    return above_far(x) * sigmoid(twice_u(within_far(x))).value;
}

__device__ __forceinline__ float gelu_tanh_dx(float x, float dy) {
    x = within_far(x);
    Sigmoid s = sigmoid(twice_u(x));
    float twice_du = fmaf(3.0f * GELU_2C * GELU_K * x, x, GELU_2C);
    return dy * fmaf(x * s.slope, twice_du, s.value);
}

// NaN stays NaN.
__device__ __forceinline__ float relu_value(float x) { return x <= 0.0f ? 0.0f : x; }
__device__ __forceinline__ float relu_dx(float x, float dy) { return x > 0.0f ? dy : 0.0f; }

__device__ __forceinline__ float tanh_value(float x) { return tanhf(x); }
__device__ __forceinline__ float tanh_dx(float x, float dy) { return dy * (4.0f * sigmoid(2.0f * x).slope); }

__device__ __forceinline__ float sigmoid_value(float x) { return sigmoid(x).value; }
__device__ __forceinline__ float sigmoid_dx(float x, float dy) { return dy * sigmoid(x).slope; }

// y = f(x); dx = f'(x) dy; both in one pass over x, whose common parts the compiler finds.
#define KERNELS(name)                                                                                         \
    extern "C" __global__ void name##_forward(const hidden *x, hidden *y, size_t n, size_t packs) {           \
        map(x, y, n, packs, [](float x) { return name##_value(x); });                                         \
    }                                                                                                         \
    extern "C" __global__ void name##_backward(const hidden *x, const hidden *dy, hidden *dx, size_t n,       \
                                               size_t packs) {                                                \
        map2(x, dy, dx, n, packs, [](float x, float dy) { return name##_dx(x, dy); });                        \
    }                                                                                                         \
    extern "C" __global__ void name##_backward_and_value(const hidden *x, const hidden *dy, hidden *dx,       \
                                                         hidden *y, size_t n, size_t packs) {                 \
        for_each_pack<Wide<hidden>::N>(n, packs, [=](size_t i, auto width) {                                  \
            float v[width.n], d[width.n];                                                                     \
            load_floats(x + i, v);                                                                            \
            load_floats(dy + i, d);                                                                           \
            _Pragma("unroll") for (int k = 0; k < width.n; k++) {                                             \
                d[k] = name##_dx(v[k], d[k]);                                                                 \
                v[k] = name##_value(v[k]);                                                                    \
            }                                                                                                 \
            store_floats(d, dx + i);                                                                          \
            store_floats(v, y + i);                                                                           \
        });                                                                                                   \
    }

KERNELS(gelu)
KERNELS(gelu_tanh)
KERNELS(relu)
KERNELS(tanh)
KERNELS(sigmoid)
