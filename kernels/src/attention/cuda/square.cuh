// Attention in f32 arithmetic: tiles in shared memory, products by a square of threads.
//
// A block has a tile of TILE rows (queries; keys for dk and dv) and walks over tiles of as many columns (the
// other ones). Its 256 threads form a square of 16 x 16; thread (y, x) has R = TILE / 16 consecutive rows and as
// many columns, R^2 scores in registers, and D / 16 elements of each of its rows of the result. Two operations:
//
//     dot          s = rows cols^T      R + R vectors of 4 read from shared memory for 4 R^2 multiply-adds
//     accumulate   result += p cols     with p passed through shared memory, for the 16 threads of a row
//
// Element 16 i + x of a tile in shared memory holds row x R + i ("slot"): the threads of a warp then read rows
// that are neighbours, free of bank conflicts, though each owns consecutive keys, which share words of Philox.
#pragma once
#include "relative.cuh"

#define SIDE 16
#define THREADS (SIDE * SIDE)

// Rows in shared memory are padded by one vector, to begin in other banks.
#define STRIDE(D) (D + 4)

// Rows of p are read by 16 threads each, two rows a warp: half of the banks apart.
#define P_STRIDE(TILE) (TILE + SIDE)

__device__ __forceinline__ int thread_x() { return threadIdx.x % SIDE; }
__device__ __forceinline__ int thread_y() { return threadIdx.x / SIDE; }

// Takes the rows of a head from `first_row` on, `present` of them; the rest of the tile is zeros.
template <int TILE, int D>
__device__ __forceinline__ void load_tile(float *to, const hidden *from, u32 first_row, int present,
                                          const Attention &a) {
    for (int i = threadIdx.x; i < TILE * D; i += THREADS) {
        int slot = i / D, col = i % D;
        int row = slot % SIDE * (TILE / SIDE) + slot / SIDE;
        bool inside = row < present && col < a.head_dim;
        size_t at = size_t(first_row + u32(row) * a.heads) * a.head_dim + col;
        to[slot * STRIDE(D) + col] = inside ? to_float(from[at]) : 0.0f;
    }
}

// The same rows of two matrices, one tile behind the other.
template <int TILE, int D>
__device__ __forceinline__ void load_pair(float *to, const hidden *x, const hidden *y, u32 first_row, int present,
                                          const Attention &a) {
    load_tile<TILE, D>(to, x, first_row, present, a);
    load_tile<TILE, D>(to + TILE * STRIDE(D), y, first_row, present, a);
}

// The scores of this thread's rows and columns.
template <int R, int D>
__device__ __forceinline__ void dot(const float *rows, const float *cols, float (&s)[R][R]) {
    const float *row = rows + thread_y() * STRIDE(D), *col = cols + thread_x() * STRIDE(D);
#pragma unroll
    for (int i = 0; i < R * R; i++) s[i / R][i % R] = 0.0f;
    // Unrolled further, its loads fill the 128 registers that let two blocks share a multiprocessor.
#pragma unroll 1
    for (int k = 0; k < D; k += 4) {
        float a[R][4], b[R][4];
#pragma unroll
        for (int i = 0; i < R; i++) {
            load_floats(row + i * SIDE * STRIDE(D) + k, a[i]);
            load_floats(col + i * SIDE * STRIDE(D) + k, b[i]);
        }
#pragma unroll
        for (int i = 0; i < R * R * 4; i++) s[i / 4 / R][i / 4 % R] += a[i / 4 / R][i % 4] * b[i / 4 % R][i % 4];
    }
}

// The same of each tile of two pairs.
template <int R, int D>
__device__ __forceinline__ void dot_pairs(const float *rows, const float *cols, float (&s)[R][R],
                                          float (&ds)[R][R]) {
    const int ELEMENTS = R * SIDE * STRIDE(D);
    dot<R, D>(rows, cols, s);
    dot<R, D>(rows + ELEMENTS, cols + ELEMENTS, ds);
}

// Adds what scores of this thread have by distance, in rows from `row` on and columns from `col` on.
template <int SIGN, int R>
__device__ __forceinline__ void add_relative(float (&s)[R][R], const Relative<SIGN> &relative, int row, int col) {
#pragma unroll
    for (int i = 0; i < R * R; i++) relative.add(s[i / R][i % R], row + i / R, col + i % R);
}

// The elements of a row of the result that a thread has: vectors of this many, 16 threads side by side.
template <int D> struct Columns {
    static const int VECTOR = D / SIDE < 4 ? D / SIDE : 4;

    static __device__ __forceinline__ int of(int vector) { return (vector * SIDE + thread_x()) * VECTOR; }
};

// Adds p cols. Rows of p are private to half a warp, so no barrier of the block is needed around this.
template <int R, int D>
__device__ __forceinline__ void accumulate(const float (&weights)[R][R], float *p, const float *cols,
                                           float (&result)[R][D / SIDE]) {
    const int TILE = R * SIDE, VECTOR = Columns<D>::VECTOR;
    float *mine = p + thread_y() * P_STRIDE(TILE);
    __syncwarp(); // an earlier p may still be read
#pragma unroll
    for (int i = 0; i < R * R; i++) {
        mine[i / R * SIDE * P_STRIDE(TILE) + i % R * SIDE + thread_x()] = weights[i / R][i % R];
    }
    __syncwarp();
#pragma unroll 2
    for (int j = 0; j < TILE; j += 4) {
        float w[R][4];
#pragma unroll
        for (int i = 0; i < R; i++) load_floats(mine + i * SIDE * P_STRIDE(TILE) + j, w[i]);
#pragma unroll
        for (int step = 0; step < 4 * (D / SIDE / VECTOR); step++) {
            int slot = step % 4, vector = step / 4;
            float x[VECTOR];
            load_floats(cols + (j + slot) * STRIDE(D) + Columns<D>::of(vector), x);
#pragma unroll
            for (int i = 0; i < R * VECTOR; i++) {
                result[i / VECTOR][vector * VECTOR + i % VECTOR] += w[i / VECTOR][slot] * x[i % VECTOR];
            }
        }
    }
}

// Gives the gradients of the scores of a block to that of what scores have by distance: they are in `p` as `accumulate`
// left them. The block has the rows from `row` on, and the columns from `col` on; busy warps have some that exist, and
// where rows are queries the others call this, too.
template <int R, int SIGN>
__device__ __forceinline__ void add_gradient(Nothing<SIGN> &, const float *, bool, int, int) {}

template <int R> __device__ __forceinline__ void add_gradient(Bias<KEY_ROWS> &, const float *, bool, int, int) {}

// A thread adds up one diagonal.
template <int R>
__device__ __forceinline__ void add_gradient(Bias<QUERY_ROWS> &bias, const float *p, bool, int row, int col) {
    const int TILE = R * SIDE;
    auto slot = [](int i) { return i % R * SIDE + i / R; };
    __syncthreads(); // all gradients are there
    int diagonal = int(threadIdx.x) - (TILE - 1), rows = min(TILE, bias.tokens - row);
    if (diagonal >= TILE) return;
    float sum = 0.0f;
    for (int i = max(0, -diagonal); i < min(rows, TILE - diagonal); i++) {
        sum += p[slot(i) * P_STRIDE(TILE) + slot(i + diagonal)];
    }
    bias.add_diagonal(col - row + diagonal, sum);
}

// Half a warp writes 16 neighbours of a row, which is private to it.
template <int R, int SIGN>
__device__ __forceinline__ void add_gradient(Products<SIGN> &products, const float *p, bool busy, int row, int col) {
    if (!busy) return;
    const float *mine = p + thread_y() * P_STRIDE(R * SIDE);
#pragma unroll
    for (int i = 0; i < R * R; i++) {
        int further = i % R * SIDE + thread_x(), slot = further % R * SIDE + further / R;
        float ds = mine[i / R * SIDE * P_STRIDE(R * SIDE) + slot];
        products.write(row + thread_y() * R + i / R, col + further, ds);
    }
}

// Writes factor * result to those of this thread's rows that exist.
template <int R, int D>
__device__ __forceinline__ void store_tile(const float (&result)[R][D / SIDE], const float (&factor)[R],
                                           hidden *to, u32 first_row, int present, const Attention &a) {
#pragma unroll
    for (int i = 0; i < R; i++) {
        int row = thread_y() * R + i;
        if (row >= present) return;
        hidden *out = to + size_t(first_row + u32(row) * a.heads) * a.head_dim;
#pragma unroll
        for (int c = 0; c < D / SIDE; c++) {
            int col = Columns<D>::of(c / Columns<D>::VECTOR) + c % Columns<D>::VECTOR;
            if (col < a.head_dim) out[col] = from_float<hidden>(factor[i] * result[i][c]);
        }
    }
}

// The same with one factor.
template <int R, int D>
__device__ __forceinline__ void store_scaled(const float (&result)[R][D / SIDE], float factor, hidden *to,
                                             u32 first_row, int present, const Attention &a) {
    float factors[R];
#pragma unroll
    for (int i = 0; i < R; i++) factors[i] = factor;
    store_tile<R, D>(result, factors, to, first_row, present, a);
}
