// A strided view copied to row-major order: a thread per element of the result, in loops over the grid.
#include "common.cuh"

#define MAX_AXES 8

// Axes of the view, the last one first; kernels/src/copy/cuda.rs has the same fields.
struct View {
    size_t offset;
    size_t strides[MAX_AXES];
    u32 shape[MAX_AXES];
    int axes;
};

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
