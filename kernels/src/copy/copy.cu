// Copies that `cuMemcpyDtoDAsync` cannot make: a thread per element, in loops over the grid.
#include "common.cuh"

#define MAX_AXES 8

// Axes of the view, the last one first; kernels/src/copy/cuda.rs has the same fields.
struct View {
    size_t offset;
    size_t strides[MAX_AXES];
    u32 shape[MAX_AXES];
    int axes;
};

// A strided view to row-major order.
template <typename T> __device__ __forceinline__ void copy_view(const T *x, T *y, size_t n, const View &view) {
    for (size_t i = grid_thread(); i < n; i += grid_threads()) {
        size_t rest = i, from = view.offset;
#pragma unroll
        for (int axis = 0; axis < MAX_AXES; axis++) {
            if (axis >= view.axes) break;
            from += rest % view.shape[axis] * view.strides[axis];
            rest /= view.shape[axis];
        }
        y[i] = x[from];
    }
}

extern "C" __global__ void copy_view_16(const u16 *x, u16 *y, size_t n, View view) {
    copy_view(x, y, n, view);
}

extern "C" __global__ void copy_view_32(const u32 *x, u32 *y, size_t n, View view) {
    copy_view(x, y, n, view);
}

// Rows of `width` elements, one behind the other, to rows of `pitch` elements, from column `start` on. A thread's
// next element is always as far away, so its place is found by additions and not by a division.
template <typename T>
__device__ __forceinline__ void copy_rows(const T *x, T *y, size_t n, size_t width, size_t start, size_t pitch) {
    size_t step = grid_threads(), row_step = step / width, col_step = step % width;
    size_t row = grid_thread() / width, col = grid_thread() % width;
    for (size_t i = grid_thread(); i < n; i += step) {
        y[row * pitch + start + col] = x[i];
        row += row_step;
        col += col_step;
        if (col >= width) {
            col -= width;
            row++;
        }
    }
}

extern "C" __global__ void copy_rows_16(const u16 *x, u16 *y, size_t n, size_t width, size_t start, size_t pitch) {
    copy_rows(x, y, n, width, start, pitch);
}

extern "C" __global__ void copy_rows_32(const u32 *x, u32 *y, size_t n, size_t width, size_t start, size_t pitch) {
    copy_rows(x, y, n, width, start, pitch);
}
