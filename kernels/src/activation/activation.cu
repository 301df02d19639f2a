// Activation functions, f32 arithmetic on hidden states. Maps of one element to one element: a thread takes 16
// bytes at a time (`packs` of them), in loops over the grid.
#include "activation.cuh"

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
                float input = v[k];                                                                           \
                v[k] = name##_value(input);                                                                   \
                d[k] = name##_dx(input, d[k]);                                                                \
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
