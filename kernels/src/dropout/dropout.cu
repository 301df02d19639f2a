// Dropout, f32. A thread takes four columns of a row, whose mask is one block of random words: a few hundred
// integer instructions, so the mask is made once for all four, and never stored.
#include "common.cuh"

#define COLS 4

// The columns that there are, of the four from x on.
__device__ __forceinline__ void drop(const float *x, float *y, int there, float4 mask) {
    float factors[COLS] = {mask.x, mask.y, mask.z, mask.w};
#pragma unroll
    for (int k = 0; k < COLS; k++) {
        if (k < there) y[k] = factors[k] * x[k];
    }
}

__device__ __forceinline__ void drop_pack(const float *x, float *y, float4 mask) {
    float4 v = *reinterpret_cast<const float4 *>(x);
    *reinterpret_cast<float4 *>(y) = make_float4(mask.x * v.x, mask.y * v.y, mask.z * v.z, mask.w * v.w);
}

// y = mask x. `packed`: rows are whole packs at multiples of 16 bytes. The next four columns of a thread are always
// as far away, so their row is found by additions and not by a division.
extern "C" __global__ void dropout(const float *x, float *y, int rows, int cols, int packed, Dropout d) {
    size_t step = grid_threads();
    int groups = (cols + COLS - 1) / COLS, row_step = int(step / groups), group_step = int(step % groups);
    size_t row = grid_thread() / groups;
    int group = int(grid_thread() % groups);
    while (row < rows) {
        float4 mask = dropout_mask(d, group, u32(row));
        size_t at = row * cols + group * COLS;
        if (packed) {
            drop_pack(x + at, y + at, mask);
        } else {
            drop(x + at, y + at, cols - group * COLS, mask);
        }
        row += row_step;
        group += group_step;
        if (group >= groups) {
            group -= groups;
            row++;
        }
    }
}
