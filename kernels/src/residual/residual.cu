// The sum of a residual stream, f32, and an update, a hidden state, with dropout of that: s = x + m u. Its backward is
// dropout.cu. A thread takes four columns of a row, whose mask is one block of random words.
#include "common.cuh"

#define COLS 4

// `packed`: rows are whole packs, and aligned.
extern "C" __global__ void residual_forward(const float *x, const hidden *u, float *s, size_t rows, u32 cols,
                                            int packed, Dropout dropout) {
    for_each_chunk<COLS>(rows, cols, [=](size_t row, int col) {
        float a[COLS], b[COLS];
        load_columns(x + row * cols, col, cols, packed, a);
        load_columns(u + row * cols, col, cols, packed, b);
        if (drops(dropout)) mask_columns(dropout, u32(row), col, b);
#pragma unroll
        for (int k = 0; k < COLS; k++) a[k] += b[k];
        store_columns(a, s + row * cols, col, cols, packed);
    });
}
