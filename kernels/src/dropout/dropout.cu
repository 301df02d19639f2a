// Dropout of f32, stored in f32 or as a hidden state. A thread takes four columns of a row, whose mask is one block of
// random words: a few hundred integer instructions, so the mask is made once for all four, and never stored.
#include "common.cuh"

#define COLS 4

// y = mask x. `packed`: rows are whole packs, and aligned.
extern "C" __global__ void dropout(const float *x, hidden *y, size_t rows, u32 cols, int packed, Dropout d) {
    for_each_chunk<COLS>(rows, cols, [=](size_t row, int col) {
        float v[COLS];
        load_columns(x + row * cols, col, cols, packed, v);
        mask_columns(d, u32(row), col, v);
        store_columns(v, y + row * cols, col, cols, packed);
    });
}
