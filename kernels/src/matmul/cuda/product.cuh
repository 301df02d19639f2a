// What the rungs of the ladder have in common: the product that is wanted, the order of its tiles, and what happens
// to a sum between the last multiplication and memory.
//
//     C = op(A) op(B) + bias + residual        and, where wanted, GELU of C as a second output
//
// Layouts. An operand is K-major where the elements along K are neighbours in memory: A stored [M, K], B stored
// [N, K]. It is M- or N-major where the others are: A stored [K, M], B stored [K, N]. A linear layer needs three
// products, and each reads its operands where they lie:
//
//     nt    y  = x w^T     A K-major, B K-major        T x O, K = I
//     nn    dx = dy w      A K-major, B N-major        T x I, K = O
//     tn    dw = dy^T x    A M-major, B N-major        O x I, K = T: few tiles and a long K, see split.cu
#pragma once
#include "normal.cuh"

// kernels/src/matmul/cuda/param.rs has the same fields.
template <typename In, typename Out> struct Product {
    const In *a, *b;
    Out *c;
    const float *bias;   // [N], or none
    const Out *residual; // [M, N] with the rows of C, or none
    Out *gelu;           // the same
    float *partial;      // [splits, M, N]: sums of a part of K go here and nothing else happens; or none
    int m, n, k;
    int ldc;
    int k_split; // K of one part, a multiple of 64 where there are several
    int wide;    // whether all of the above may be accessed by 16 bytes, at columns that are a multiple of 8
};

// The range of K of part `split`.
template <typename P> __device__ __forceinline__ int split_begin(const P &p, int split) {
    return split * p.k_split;
}
template <typename P> __device__ __forceinline__ int split_end(const P &p, int split) {
    return min(p.k, split_begin(p, split) + p.k_split);
}

__device__ __forceinline__ int divide_up(int a, int b) { return (a + b - 1) / b; }

// ---- The order of tiles ----

struct Tile {
    int row, col; // counted in tiles
};

// Rows of tiles that are walked together. Tiles that run at the same time then share rows of A and columns of B
// in the L2 cache: 132 of them read 8 + 17 strips of operands, and not 1 + 132 as in the order of rows.
#define TILE_GROUP 8

__device__ __forceinline__ Tile tile_at(int number, int rows, int cols) {
    int group = number / (TILE_GROUP * cols), inside = number % (TILE_GROUP * cols);
    int first = group * TILE_GROUP, height = min(TILE_GROUP, rows - first);
    return {first + inside % height, inside / height};
}

// ---- After the sum ----

// Writes N finished neighbours from (row, col) on, all within C and aligned. GELU is applied to the value that C
// holds, rounded if it is bf16: fused or not, the bits are the same, and the backward reads that value.
template <int N, typename In, typename Out>
__device__ __forceinline__ void finish_run(const Product<In, Out> &p, size_t at, int col, float (&sum)[N]) {
    float more[N];
    if (p.bias) {
        load_floats(p.bias + col, more);
#pragma unroll
        for (int i = 0; i < N; i++) sum[i] += more[i];
    }
    if (p.residual) {
        load_floats(p.residual + at, more);
#pragma unroll
        for (int i = 0; i < N; i++) sum[i] += more[i];
    }
    store_floats(sum, p.c + at);
    if (p.gelu) {
#pragma unroll
        for (int i = 0; i < N; i++) sum[i] = gelu_value(to_float(from_float<Out>(sum[i])));
        store_floats(sum, p.gelu + at);
    }
}

// The same at the edge, or where accesses of 16 bytes are not allowed: an element at a time.
template <int N, typename In, typename Out>
__device__ __forceinline__ void finish_edge(const Product<In, Out> &p, size_t at, int col, const float (&sum)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        float one[1] = {sum[i]};
        if (col + i < p.n) finish_run(p, at + i, col + i, one);
    }
}

// N neighbours of the sums of part `split`, from (row, col) on, col a multiple of N; those beyond M and N are none.
template <int N, typename In, typename Out>
__device__ __forceinline__ void
put_run(const Product<In, Out> &p, int split, size_t c_offset, int row, int col, float (&sum)[N]) {
    if (row >= p.m || col >= p.n) return;
    bool whole = p.wide && col + N <= p.n;
    if (p.partial) {
        float *to = p.partial + (size_t(split) * p.m + row) * p.n + col;
        if (whole) {
            store_floats(sum, to);
        } else {
#pragma unroll
            for (int i = 0; i < N; i++)
                if (col + i < p.n) to[i] = sum[i];
        }
        return;
    }
    size_t at = c_offset + size_t(row) * p.ldc + col;
    if (whole) finish_run(p, at, col, sum);
    else finish_edge(p, at, col, sum);
}

// ---- Fragments ----

// Tensor cores leave four neighbouring blocks of 8 columns so that thread t of a group of four has the columns 2t
// and 2t + 1 of each: v[2 i + j] is column 8 i + 2 t + j. After this it has all of block t, v[i] is column 8 t + i,
// which makes 16 bytes of bf16: a transpose of 4 x 4 pairs, half of them exchanged with one neighbour, then half
// with the other.
__device__ __forceinline__ void gather_columns(float (&v)[8]) {
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
        bool upper = lane_of_warp() & step;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & step) continue;
#pragma unroll
            for (int j = 0; j < 2; j++) {
                float &low = v[2 * i + j], &high = v[2 * (i | step) + j];
                float got = __shfl_xor_sync(FULL_WARP, upper ? low : high, step);
                (upper ? low : high) = got;
            }
        }
    }
}
