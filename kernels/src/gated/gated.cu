// Gated linear units, f32 arithmetic on hidden states: rows z = [a, g] of 2 F to rows y = f(a) g of F. A thread takes
// 16 bytes of each half at a time (`packed`), else one element, in loops over the grid. See mod.rs for the equations.
#include "activation.cuh"

// Calls body(row, col, width) for 16 bytes of neighbouring columns of rows of `cols`, if not `packed` for each column.
template <typename Body>
__device__ __forceinline__ void for_each_columns(size_t rows, u32 cols, int packed, Body body) {
    constexpr int N = Wide<hidden>::N;
    if (packed) return for_each_chunk<N>(rows, cols, [=](size_t row, int col) { body(row, col, Width<N>()); });
    for_each_chunk<1>(rows, cols, [=](size_t row, int col) { body(row, col, Width<1>()); });
}

template <typename Value>
__device__ __forceinline__ void forward(const hidden *z, hidden *y, size_t rows, u32 cols, int packed, Value value) {
    for_each_columns(rows, cols, packed, [=](size_t row, size_t col, auto width) {
        const hidden *from = z + row * 2 * cols + col;
        float a[width.n], g[width.n];
        load_floats(from, a);
        load_floats(from + cols, g);
#pragma unroll
        for (int k = 0; k < width.n; k++) a[k] = value(a[k]) * g[k];
        store_floats(a, y + row * cols + col);
    });
}

// y may be null.
template <typename Value, typename Gradient>
__device__ __forceinline__ void backward(const hidden *z, const hidden *dy, hidden *dz, hidden *y, size_t rows,
                                         u32 cols, int packed, Value value, Gradient gradient) {
    for_each_columns(rows, cols, packed, [=](size_t row, size_t col, auto width) {
        size_t at = row * 2 * cols + col, at_y = row * cols + col;
        float a[width.n], g[width.n], d[width.n];
        load_floats(z + at, a);
        load_floats(z + at + cols, g);
        load_floats(dy + at_y, d);
#pragma unroll
        for (int k = 0; k < width.n; k++) {
            float f = value(a[k]), gate = g[k];
            a[k] = gradient(a[k], d[k] * gate);
            g[k] = d[k] * f;
            d[k] = f * gate;
        }
        store_floats(a, dz + at);
        store_floats(g, dz + at + cols);
        if (y) store_floats(d, y + at_y);
    });
}

// The grid is as many blocks as a multiprocessor has threads for, eight. The forward's registers leave room for all:
// with 40, the last two of eight would begin when six are done, and have the GPU to themselves.
#define KERNELS(name)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256, 8)                                                      \
        gated_##name##_forward(const hidden *z, hidden *y, size_t rows, u32 cols, int packed) {               \
        forward(z, y, rows, cols, packed, [](float x) { return name##_value(x); });                           \
    }                                                                                                         \
    extern "C" __global__ void gated_##name##_backward(const hidden *z, const hidden *dy, hidden *dz,         \
                                                       hidden *y, size_t rows, u32 cols, int packed) {        \
        backward(z, dy, dz, y, rows, cols, packed, [](float x) { return name##_value(x); },                   \
                 [](float x, float dy) { return name##_dx(x, dy); });                                         \
    }

KERNELS(gelu)
KERNELS(gelu_tanh)
KERNELS(relu)
KERNELS(tanh)
KERNELS(sigmoid)
