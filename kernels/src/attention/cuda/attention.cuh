// What all attention kernels share: the settings, operands, and which part of the batch a block has.
#pragma once
#include "common.cuh"

// What scores have by distance: nothing, a bias, or products. Kernels with either are compiled apart, from the same
// text, so that it costs the others nothing, not even parameters.
#ifndef BIASED
#define BIASED 0
#endif
#ifndef PRODUCTS
#define PRODUCTS 0
#endif

// What a kernel with a bias gets beside.
struct BiasTable {
    const float *rows; // [2 reach + 1, heads]
    float *grad;       // what each block adds to its gradient, [blocks of a head, 2 reach + 1, heads]; for dq alone
    int reach;
};

// What a kernel with products gets beside.
struct ProductTables {
    const float *c, *g; // of queries and of keys, [heads, tokens, 2 reach + 1]
    float *grad;        // for dq the gradient of c, for dkdv that of g
    int tokens, reach;
};

// The last parameters of a kernel, and these as tables.
#if BIASED
#define RELATIVE_PARAMETERS , const float *bias, float *dbias, int reach
#define RELATIVE_TABLES BiasTable{bias, dbias, reach}, ProductTables{}
#elif PRODUCTS
#define RELATIVE_PARAMETERS , const float *c, const float *g, float *grad, int tokens, int reach
#define RELATIVE_TABLES BiasTable{}, ProductTables{c, g, grad, tokens, reach}
#else
#define RELATIVE_PARAMETERS
#define RELATIVE_TABLES BiasTable{}, ProductTables{}
#endif

// `Settings` in mod.rs has the same fields.
struct Attention {
    int heads, head_dim;
    int tiles; // of the longest sequence: blocks of one sequence and head
    int key_tiles; // that a tile of queries sees at most, in tiles of the forward
    int window;    // how far away a key may be; the length of the longest sequence if there is no window
    float scale;
    Dropout dropout;
};

// What the kernels of the forward read and write: matrices [tokens, heads * head_dim], offsets of sequences.
template <typename T> struct Forward {
    const T *q, *k, *v;
    const u32 *queries, *keys;
    T *o;
    float *lse; // [queries, heads]
    u32 *mask;  // on tensor cores: what was dropped, for the backward; none if there is no dropout or no backward
    Attention a;
    BiasTable bias;
    ProductTables products;
};

// What those of the backward read.
template <typename T> struct Backward {
    const T *q, *k, *v, *d_o;
    const u32 *queries, *keys;
    const float *lse, *delta; // [queries, heads]
    const u32 *mask;          // on tensor cores: that of the forward
    Attention a;
    BiasTable bias;
    ProductTables products;
};

// One head of one sequence. A matrix [T, N*D] is seen as [T*N, D], where the tokens of a head are N rows apart:
// the row of a query is then also its place in lse and its row of the dropout mask.
struct Part {
    int sequence;
    int heads, head;
    int first_query, queries;
    int first_key, keys;

    __device__ __forceinline__ u32 query_row(int i) const { return u32(first_query + i) * heads + head; }
    __device__ __forceinline__ u32 key_row(int j) const { return u32(first_key + j) * heads + head; }
};

// The grid is [sequences * tiles, heads]. `P` is Forward or Backward.
template <typename P> __device__ __forceinline__ Part part_of_block(const P &p) {
    int sequence = blockIdx.x / p.a.tiles;
    Part part;
    part.sequence = sequence;
    part.heads = p.a.heads;
    part.head = blockIdx.y;
    part.first_query = p.queries[sequence];
    part.queries = p.queries[sequence + 1] - p.queries[sequence];
    part.first_key = p.keys[sequence];
    part.keys = p.keys[sequence + 1] - p.keys[sequence];
    return part;
}

__device__ __forceinline__ int tile_of_block(const Attention &a) { return blockIdx.x % a.tiles; }

// Neighbouring rows of a part.
struct Span {
    int begin, end;
};

// Of `count` columns (keys where rows are queries, queries where rows are keys) those that any of the `tile` rows from
// `first` on sees, from a whole tile on.
__device__ __forceinline__ Span seen_by_tile(const Attention &a, int first, int tile, int count) {
    return {max(first - a.window, 0) / tile * tile, min(first + tile + a.window, count)};
}

// Whether a query sees a key.
__device__ __forceinline__ bool sees(const Attention &a, const Part &part, int query, int key) {
    return key < part.keys && abs(query - key) <= a.window;
}

// The running softmax of one row: the maximum so far, and the sum of exponentials less that maximum.
struct RowSoftmax {
    float max = NEGATIVE_INFINITY, sum = 0.0f;

    // What to subtract. A row of nothing but -inf so far, which sees nothing of the first tile, must not subtract that
    // from itself.
    __device__ __forceinline__ float base() const { return max == NEGATIVE_INFINITY ? 0.0f : max; }
};

// The bias of one head, in shared memory, over the scale: it is added to scores that are not scaled yet.
struct Bias {
    const float *rows;
    int reach;

    // Takes the column of the head of this block; to be read behind a barrier.
    __device__ __forceinline__ Bias(float *to, const BiasTable &table, const Attention &a)
        : rows(to), reach(table.reach) {
        if (!BIASED) return;
        for (int i = threadIdx.x; i <= 2 * reach; i += blockDim.x) {
            to[i] = table.rows[i * a.heads + blockIdx.y] / a.scale;
        }
    }

    // That of a key so far after its query.
    __device__ __forceinline__ float of(int after) const {
        return rows[reach + max(min(after, reach), -reach)];
    }
};

// What a block adds to the gradient of the bias of its head: sums of diagonals, on which keys are equally far after
// their queries. The threads that share rows add different diagonals at a time, which meet only in the first and the
// last row: of these each thread has a sum of its own.
struct BiasGradient {
    float *rows; // 2 reach + 1, in shared memory, of zeros at first
    int reach;
    float first = 0.0f, last = 0.0f;

    __device__ __forceinline__ BiasGradient(float *rows, int reach) : rows(rows), reach(reach) {}

    __device__ __forceinline__ void add(int after, float sum) {
        if (after <= -reach) {
            first += sum;
        } else if (after >= reach) {
            last += sum;
        } else {
            rows[reach + after] += sum;
        }
    }

    // Writes the block's part to its place in [blocks of a head, 2 reach + 1, heads]; from `all` on are the rows of
    // each of the `groups` of threads that share some.
    __device__ __forceinline__ void write(float *to, const float *all, int groups, int heads) {
        first = block_sum(first); // its barriers are also for the rows
        last = block_sum(last);
        int width = 2 * reach + 1;
        to += size_t(blockIdx.x) * width * heads + blockIdx.y;
        for (int i = threadIdx.x; i < width; i += blockDim.x) {
            float sum = (i == 0 ? first : 0.0f) + (i == 2 * reach ? last : 0.0f);
            for (int group = 0; group < groups; group++) sum += all[group * width + i];
            to[size_t(i) * heads] = sum;
        }
    }
};

// To be read behind a barrier.
__device__ __forceinline__ void fill_zeros(float *to, int count) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) to[i] = 0.0f;
}

// The products of one head and sequence: those of the tokens in the rows of a block, which are queries, or, where SIGN
// is -1, keys, and those of the tokens in its columns. Each element belongs to one score alone: it is read where that
// is made, and its gradient is stored, never added to.
template <int SIGN> struct Products {
    const float *of_rows, *of_cols; // [tokens, width], at the distance 0 of the first token
    float *grad;                    // of those of the rows, likewise
    int tokens, width;

    __device__ __forceinline__ Products(const ProductTables &all, const Part &part)
        : tokens(part.keys), width(2 * all.reach + 1) {
        size_t first = (size_t(part.head) * all.tokens + part.first_key) * width + all.reach;
        of_rows = (SIGN > 0 ? all.c : all.g) + first;
        of_cols = (SIGN > 0 ? all.g : all.c) + first;
        grad = all.grad + first;
    }

    // What is added to a score that is not scaled yet. Absent tokens are taken for the last one.
    __device__ __forceinline__ float of(int row, int col) const {
        row = min(row, tokens - 1);
        col = min(col, tokens - 1);
        int after = SIGN * (col - row);
        return of_rows[size_t(row) * width + after] + of_cols[size_t(col) * width + after];
    }

    // The gradient of what the row has, if both tokens are there.
    __device__ __forceinline__ void write(int row, int col, float gradient) const {
        if (row < tokens && col < tokens) grad[size_t(row) * width + SIGN * (col - row)] = gradient;
    }
};
