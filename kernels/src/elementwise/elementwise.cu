// Arithmetic, element by element. A thread takes 16 bytes at a time where addresses allow (`packs` of them), the
// elements behind these one by one, in loops over the grid. See mod.rs for the equations.
#include "common.cuh"

// y = a op b; then the same with the row b repeated over the rows of a.
#define BINARY(name, expression)                                                                              \
    extern "C" __global__ void name(const float *a, const float *b, float *y, size_t n, size_t packs) {       \
        map2(a, b, y, n, packs, [](float a, float b) { return expression; });                                 \
    }                                                                                                         \
    extern "C" __global__ void name##_row(const float *a, const float *b, float *y, size_t n, int cols,       \
                                          int packed) {                                                       \
        with_row(a, b, y, n, cols, packed, [](float a, float b) { return expression; });                      \
    }

// y_rc = f(a_rc, b_c), N columns at a time; N divides cols. A thread's next element is always as far away, so its
// column is found by one addition and not by a division.
template <int N, typename F>
__device__ __forceinline__ void with_row_packs(const float *a, const float *b, float *y, size_t n, int cols, F f) {
    size_t step = grid_threads() * N;
    int col = int(grid_thread() * N % cols), col_step = int(step % cols);
    for (size_t i = grid_thread() * N; i < n; i += step) {
        float v[N], w[N];
        load_floats(a + i, v);
        load_floats(b + col, w);
#pragma unroll
        for (int k = 0; k < N; k++) v[k] = f(v[k], w[k]);
        store_floats(v, y + i);
        col += col_step;
        if (col >= cols) col -= cols;
    }
}

// `packed`: four columns may move at once.
template <typename F>
__device__ __forceinline__ void with_row(const float *a, const float *b, float *y, size_t n, int cols, int packed,
                                         F f) {
    if (packed) {
        with_row_packs<4>(a, b, y, n, cols, f);
    } else {
        with_row_packs<1>(a, b, y, n, cols, f);
    }
}

BINARY(add, a + b)
BINARY(sub, a - b)
BINARY(mul, a * b)
BINARY(divide, a / b)

// y = f(x); then dx = f'(x) dy, where v is what the backward keeps: y of exp, sqrt and 1 / x, else x.
#define UNARY(name, value, derivative)                                                                        \
    extern "C" __global__ void name##_forward(const float *x, float *y, size_t n, size_t packs) {             \
        map(x, y, n, packs, [](float x) { return value; });                                                   \
    }                                                                                                         \
    extern "C" __global__ void name##_backward(const float *v, const float *dy, float *dx, size_t n,          \
                                               size_t packs) {                                                \
        map2(v, dy, dx, n, packs, [](float v, float dy) { return derivative; });                              \
    }

UNARY(neg, -x, -dy)
UNARY(exp, expf(x), dy * v)
UNARY(ln, logf(x), dy / v)
UNARY(sqrt, sqrtf(x), dy * 0.5f / v)
UNARY(abs, fabsf(x), dy *(v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : 0.0f))
UNARY(square, x *x, dy *(v + v))
UNARY(recip, 1.0f / x, dy *v * -v)

// y = alpha x
extern "C" __global__ void scale(float alpha, const float *x, float *y, size_t n, size_t packs) {
    map(x, y, n, packs, [=](float x) { return alpha * x; });
}

// y += x
extern "C" __global__ void add_assign(hidden *y, const hidden *x, size_t n, size_t packs) {
    map2(y, x, y, n, packs, [](float y, float x) { return y + x; });
}

// The same values in the other type; `hidden` is that of y.
#ifdef HIDDEN_BF16
typedef float source;
#else
typedef bf16 source;
#endif

// f32 in packs of 16 bytes, bf16 in packs of 8.
extern "C" __global__ void convert(const source *x, hidden *y, size_t n, size_t packs) {
    for_each_pack<4>(n, packs, [=](size_t i, auto width) {
        float v[width.n];
        load_floats(x + i, v);
        store_floats(v, y + i);
    });
}
