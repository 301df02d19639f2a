// What all attention kernels share: the settings, operands, and which part of the batch a block has.
#pragma once
#include "common.cuh"

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
};

// What those of the backward read.
template <typename T> struct Backward {
    const T *q, *k, *v, *d_o;
    const u32 *queries, *keys;
    const float *lse, *delta; // [queries, heads]
    const u32 *mask;          // on tensor cores: that of the forward
    Attention a;
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
