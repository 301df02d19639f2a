// Activation functions, f32 arithmetic on hidden states. Maps of one element to one element: a thread takes 16
// bytes at a time (`packs` of them), in loops over the grid.
#include "activation.cuh"

// The grid is as many blocks as a multiprocessor has threads for, eight: if registers left room for six, the last two
// would begin when these are done, and have the GPU to themselves.
#define KERNEL extern "C" __global__ void __launch_bounds__(256, 8)

// y = f(x); dx = f'(x) dy; both in one pass over x, whose common parts the compiler finds.
#define KERNELS(name)                                                                                 \
    KERNEL name##_forward(const hidden *x, hidden *y, size_t n, size_t packs) {                       \
        map(x, y, n, packs, [](float x) { return name##_value(x); });                                 \
    }                                                                                                 \
    KERNEL name##_backward(const hidden *x, const hidden *dy, hidden *dx, size_t n, size_t packs) {   \
        map2(x, dy, dx, n, packs, [](float x, float dy) { return name##_dx(x, dy); });                \
    }                                                                                                 \
    KERNEL name##_backward_and_value(const hidden *x, const hidden *dy, hidden *dx, hidden *y, size_t n,\
                                     size_t packs) {                                                  \
        for_each_pack<Wide<hidden>::N>(n, packs, [=](size_t i, auto width) {                          \
            float v[width.n], d[width.n];                                                             \
            load_floats(x + i, v);                                                                    \
            load_floats(dy + i, d);                                                                   \
            _Pragma("unroll") for (int k = 0; k < width.n; k++) {                                     \
                d[k] = name##_dx(v[k], d[k]);                                                         \
                v[k] = name##_value(v[k]);                                                            \
            }                                                                                         \
            store_floats(d, dx + i);                                                                  \
            store_floats(v, y + i);                                                                   \
        });                                                                                           \
    }

KERNELS(gelu)
KERNELS(gelu_tanh)
KERNELS(relu)
KERNELS(tanh)
KERNELS(sigmoid)
