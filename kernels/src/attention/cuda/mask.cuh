// The dropout mask of attention on tensor cores, a bit a score, 1 if it is dropped: the forward draws it and leaves it
// to both kernels of the backward. This file alone knows the order of the bits.
//
// Of a tile of 64 queries and 64 keys each thread of the forward has the 32 scores that its products leave in it
// (fragments.cuh), and their bits are a word. Thread (w, g, t), lane 4 g + t of warp w, has two queries and the two
// keys from 2 t on of every eight. In the table is the bit of each:
//
//     key less 2 t             0  1   8  9 |16 17  24 25 |32 33  40 41 |48 49  56 57
//     query 16 w + g           0  1   2  3 | 8  9  10 11 |16 17  18 19 |24 25  26 27
//     query 16 w + g + 8       4  5   6  7 |12 13  14 15 |20 21  22 23 |28 29  30 31
//
// So a byte is about 16 keys: those of one warp where rows are keys. A tile is 128 words, a warp after the other. In a
// warp, words of neighbouring queries are side by side, as a thread reads both where rows are keys:
//
//     word      0    1    2    3    4    5    6    7    8    9   ...   31
//     (g, t)   0,0  1,0  0,1  1,1  0,2  1,2  0,3  1,3  2,0  3,0  ...  7,3
//
// For example query 21 = 16 + 5 and key 44 = 32 + 8 + 2 * 2: thread (1, 5, 2) has bit 18 of word 32 + 21 for it.
#pragma once
#include "fragments.cuh"

// The bit of query 16 w + g + 8 `lower` and key 16 `sixteen` + 8 `eight` + 2 t + `odd`.
__device__ __forceinline__ constexpr int mask_bit(int lower, int sixteen, int eight, int odd) {
    return sixteen * 8 + lower * 4 + eight * 2 + odd;
}

// Where the word of thread (w, g, t) is among those of its tile.
__device__ __forceinline__ constexpr int mask_word(int w, int g, int t) {
    return w * WARP + g / 2 * 8 + t * 2 + g % 2;
}

// Where the words begin for a tile of queries of this part and a tile of keys that it sees. A sequence has the tiles of
// queries that it needs or one more, and each of them as many tiles of keys as any sees, in a ring: a place that each
// block finds by itself.
__device__ __forceinline__ u32 mask_of_tile(const Attention &a, const Part &part, int query_tile, int key_tile) {
    u32 first = u32(part.first_query + (TILE - 1) * part.sequence) / TILE;
    return (((first + query_tile) * part.heads + part.head) * a.key_tiles + key_tile % a.key_tiles) * THREADS;
}

// The same for one tile of keys after the other, without a division for each.
struct MaskTile {
    u32 words, first, last; // where they begin for this tile, and for the first and the last one of the ring

    __device__ __forceinline__ MaskTile(const Attention &a, const Part &part, int query_tile, int key_tile)
        : words(mask_of_tile(a, part, query_tile, key_tile)), first(mask_of_tile(a, part, query_tile, 0)),
          last(first + (a.key_tiles - 1) * THREADS) {}
    __device__ __forceinline__ void advance() { words = words == last ? first : words + THREADS; }
};

// What is kept is multiplied by this.
__device__ __forceinline__ float scale_of_kept(const Attention &a) {
    return drops(a.dropout) ? a.dropout.scale : 1.0f;
}

// ---- Rows are queries: a thread's word has all its scores ----

struct QueryRowsMask {
    u32 word;

    // Where it is among those of its tile.
    static __device__ __forceinline__ int place() { return mask_word(warp_of_block(), lane_g(), lane_t()); }

    // Whether c[n][e] is dropped.
    __device__ __forceinline__ bool has(int n, int e) const {
        return word >> mask_bit(e / 2, n / 2, n % 2, e % 2) & 1;
    }

    // The mask from key `first` of the tile on, a multiple of 16.
    __device__ __forceinline__ QueryRowsMask from(int first) const { return {word >> first / 2}; }
};

// Which of the four keys of a call of Philox are dropped, in the bits from `bit` on of `to`.
__device__ __forceinline__ void draw_four(const Dropout &d, u32 block, u32 row, int bit, u32 &to) {
    uint4 bits = philox(d, block, row);
    if (bits.x < d.threshold) to += 1 << bit; // a comparison and an addition under its predicate
    if (bits.y < d.threshold) to += 2 << bit;
    if (bits.z < d.threshold) to += 4 << bit;
    if (bits.w < d.threshold) to += 8 << bit;
}

// Draws the mask of keys from `first_key` on, a multiple of 64. Rows g and g + 8 of this lane have mask rows rows[0]
// and rows[1].
//
// A call of Philox is four keys of a row, and these are two lanes' business. In every 16 keys the two have two calls
// for each of their rows: each lane makes one, for both rows, and gives the other lane its half.
//
//     key                 0  1   2  3   4  5   6  7   8  9  10 11  12 13  14 15
//     are of lane t        0      1      2      3      0      1      2      3
//     are drawn by             0             2             1             3
//
// Three products of the 20 in Philox depend on the keys alone, and the compiler does them once for both rows; one
// depends on the row alone.
__device__ __forceinline__ QueryRowsMask draw_mask(const Dropout &d, const u32 (&rows)[2], int first_key) {
    int odd = lane_t() & 1;
    u32 mine = 0, block = first_key / 4 + 2 * odd + lane_t() / 2;
#pragma unroll // in a loop, the calls wait for each other: 207 us for 195, 32 sequences of 512 on an H200
    for (int i = TILE / 16 - 1; i >= 0; i--) { // a byte for each 16 keys
        mine <<= 8;
        draw_four(d, block + 4 * i, rows[0], 0, mine);
        draw_four(d, block + 4 * i, rows[1], 4, mine);
    }
    u32 theirs = __shfl_xor_sync(FULL_WARP, mine, 1);
    // Of each four this lane's two; the first eight keys of every 16 are the even lane's.
    u32 first = (odd ? theirs : mine) >> 2 * odd, second = (odd ? mine : theirs) >> 2 * odd;
    return {(first & 0x33333333u) | (second & 0x33333333u) << 2};
}

// ---- Rows are keys: a thread's scores are those of other threads of the forward ----

// The mask of 8 N queries. Key 16 w + g and query 16 i + 2 t of thread (w, g, t) are thread (i, 2 t, g / 2) of the
// forward, the next query is (i, 2 t + 1, g / 2); queries and keys that are 8 further are in the same words. The
// example above is read by thread (2, 4, 2): key 44 = 32 + 4 + 8, query 21 = 16 + 2 * 2 + 1, the second word of i = 1.
template <int N> struct KeyRowsMask {
    u32 words[N / 2][2];

    // `tile`: the words of the tile, in shared memory. `first`: of the queries, a multiple of 16.
    __device__ __forceinline__ KeyRowsMask(const u32 *tile, int first) {
        int bit = mask_bit(0, warp_of_block(), 0, lane_g() % 2);
#pragma unroll
        for (int i = 0; i < N / 2; i++) {
            const u32 *word = tile + mask_word(first / 16 + i, 2 * lane_t(), lane_g() / 2);
            uint2 pair = *reinterpret_cast<const uint2 *>(word);
            words[i][0] = pair.x >> bit;
            words[i][1] = pair.y >> bit;
        }
    }

    // Whether c[n][e] is dropped.
    __device__ __forceinline__ bool has(int n, int e) const {
        return words[n / 2][e % 2] >> mask_bit(n % 2, 0, e / 2, 0) & 1;
    }
};
