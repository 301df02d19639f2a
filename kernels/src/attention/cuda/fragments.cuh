// Attention on tensor cores: tiles in shared memory and products of fragments. mask.cuh has dropout.
//
// A block of four warps has a tile of 64 rows, 16 a warp, and walks over tiles of 64 columns (keys where rows are
// queries, queries where rows are keys). Tiles are bf16 [64, D]. Products take them as they lie or transposed:
//
//     product       c [16, 8 N]  = rows tile^T      both read along D
//     accumulate    c [16, D]   += p tile           p comes from registers: the fragment of C that the first
//                                                   product left is, packed to bf16, the fragment of A
//
// Lane l of a warp holds elements (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1) of each [16, 8] of C, where
// g = l / 4 and t = l % 4: so all N elements that it holds of a row have neighbours in only four lanes.
#pragma once
#include "ptx.cuh"
#include "relative.cuh"

#define WARPS 4
#define THREADS (WARPS * WARP)
#define WARP_ROWS 16
#define TILE (WARPS * WARP_ROWS)

#define LN_2 0.693147181f

// The first of the rows of this warp, counted from the first of the tile.
__device__ __forceinline__ int warp_row() { return warp_of_block() * WARP_ROWS; }
__device__ __forceinline__ int lane_g() { return lane_of_warp() / 4; }
__device__ __forceinline__ int lane_t() { return lane_of_warp() % 4; }

// ---- Tiles ----

// Rows are chunks of 8 elements, 16 bytes, and groups of 8 (or 4) chunks.
template <int D> struct Chunks {
    static_assert(D % 32 == 0, "rows of whole groups");
    static const int PER_ROW = D / 8, GROUP = PER_ROW % 8 == 0 ? 8 : 4;
};

// Where a chunk of a tile is. ldmatrix reads one chunk of 8 rows at a time, which should be in different banks: 8
// different chunks modulo 8. Rows that are a multiple of 8 chunks apart all begin in the same bank, so the
// chunk's number in its group is XORed with the row's; where they are an odd multiple of 4 apart, half of that is
// done by the rows themselves.
template <int D> __device__ __forceinline__ bf16 *chunk_of(bf16 *tile, int row, int chunk) {
    const int GROUP = Chunks<D>::GROUP;
    return tile + (row * Chunks<D>::PER_ROW + (chunk ^ row / (8 / GROUP) % GROUP)) * 8;
}

// Begins to copy rows `first_row`, `first_row + apart` and so on of [rows, D]; absent ones become zeros, so that
// whatever lies there, NaN too, stays out. Neighbouring threads copy a group.
template <int D>
__device__ __forceinline__ void copy_tile(bf16 *to, const bf16 *from, u32 first_row, int apart, int present) {
    const int GROUP = Chunks<D>::GROUP, ROWS = THREADS / GROUP;
    int row = threadIdx.x / GROUP, chunk = threadIdx.x % GROUP;
    to = chunk_of<D>(to, row, chunk);
    from += size_t(first_row + u32(row) * apart) * D + chunk * 8;
#pragma unroll
    for (int first = 0; first < TILE; first += ROWS) {
#pragma unroll
        for (int group = 0; group < Chunks<D>::PER_ROW; group += GROUP) {
            copy_async<16>(to + first * D + group * 8, from + group * 8, first + row < present);
        }
        from += ROWS * apart * D;
    }
}

// The same rows of two matrices, one tile behind the other, as a group of copies.
template <int D>
__device__ __forceinline__ void copy_pair(bf16 *to, const bf16 *x, const bf16 *y, u32 first_row, int apart,
                                          int present) {
    copy_tile<D>(to, x, first_row, apart, present);
    copy_tile<D>(to + TILE * D, y, first_row, apart, present);
    commit_copies();
}

// Which of two stages, each a pair of tiles, is for the columns from `first` on.
template <int D> __device__ __forceinline__ bf16 *stage_of(bf16 *stages, int first) {
    return stages + first / TILE % 2 * 2 * TILE * D;
}

// The keys and values that a block of queries walks over, tile by tile: they pass through two stages, one filled while
// the other is read.
template <int D> struct Keys {
    bf16 *stages;
    const bf16 *k, *v;
    u32 first_row;
    int apart, count;

    __device__ __forceinline__ void fetch(int first) const {
        u32 row = first_row + u32(first) * apart;
        copy_pair<D>(stage_of<D>(stages, first), k, v, row, apart, count - first);
    }

    // The tiles of the keys from `first` on, which are there; the next ones are on their way.
    __device__ __forceinline__ bf16 *next(int first) const {
        wait_for_copies<0>();
        __syncthreads(); // all copies are there, and the other stage has been read
        if (first + TILE < count) fetch(first + TILE);
        return stage_of<D>(stages, first);
    }
};

// ---- Products ----

// Where a lane reads with ldmatrix: a chunk of one row of a tile, and from there on those 2 k further right and whole
// eights of rows further down, which costs an XOR for each k; the rows' distance is part of the instruction.
template <int D> struct LaneChunks {
    u32 first;

    __device__ __forceinline__ LaneChunks(bf16 *tile, int row, int chunk)
        : first(shared_address(chunk_of<D>(tile, row, chunk))) {}

    __device__ __forceinline__ u32 at(int rows, int k) const {
        const int PAIRS = Chunks<D>::GROUP / 2, PAIR = 2 * 8 * sizeof(bf16);
        return (first ^ k % PAIRS * PAIR) + k / PAIRS * PAIRS * PAIR + rows * D * int(sizeof(bf16));
    }
};

// The A fragment of the 16 rows from `first_row` on, in columns 16 k .. 16 k + 15. This pattern of addresses,
// transposed, also gives the B fragments of two neighbouring [16, 8].
template <int D> __device__ __forceinline__ LaneChunks<D> corners(bf16 *tile, int first_row) {
    return LaneChunks<D>(tile + first_row * D, lane_of_warp() % 16, lane_of_warp() / 16);
}

// The rows of this warp, held in registers.
template <int D> struct HeldRows {
    u32 fragments[D / 16][4];

    __device__ __forceinline__ explicit HeldRows(bf16 *tile) {
#pragma unroll
        for (int k = 0; k < D / 16; k++) ldmatrix_x4(fragments[k], corners<D>(tile, warp_row()).at(0, k));
    }
    __device__ __forceinline__ void fragment(int k, u32 (&a)[4]) const {
#pragma unroll
        for (int i = 0; i < 4; i++) a[i] = fragments[k][i];
    }
};

// The same, read anew each time, where registers are short.
template <int D> struct SharedRows {
    LaneChunks<D> chunks;

    __device__ __forceinline__ explicit SharedRows(bf16 *tile) : chunks(corners<D>(tile, warp_row())) {}
    __device__ __forceinline__ void fragment(int k, u32 (&a)[4]) const { ldmatrix_x4(a, chunks.at(0, k)); }
};

// Two neighbouring [16, 8] of C.
__device__ __forceinline__ void mma_pair(float (&left)[4], float (&right)[4], const u32 (&a)[4],
                                         const u32 (&b)[4]) {
    const u32 b_left[2] = {b[0], b[1]}, b_right[2] = {b[2], b[3]};
    mma_bf16(left, a, b_left);
    mma_bf16(right, a, b_right);
}

// c = rows tile^T, over the 8 N rows of the tile from `first` on.
template <int D, int N, typename Rows>
__device__ __forceinline__ void product(const Rows &rows, bf16 *tile, int first, float (&c)[N][4]) {
    int lane = lane_of_warp();
    LaneChunks<D> chunks(tile + first * D, lane % 8 + lane / 16 * 8, lane / 8 % 2);
#pragma unroll
    for (int i = 0; i < N * 4; i++) c[i / 4][i % 4] = 0.0f;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        u32 a[4], b[4];
        rows.fragment(k, a);
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            ldmatrix_x4(b, chunks.at(8 * n, k));
            mma_pair(c[n], c[n + 1], a, b);
        }
    }
}

// Adds what scores have by distance. The warp has the rows from `row` on, and the columns from `col` on.
template <int SIGN, int N>
__device__ __forceinline__ void add_relative(float (&s)[N][4], const Relative<SIGN> &relative, int row, int col) {
    row += lane_g();
    col += 2 * lane_t();
#pragma unroll
    for (int i = 0; i < 4 * N; i++) {
        relative.add(s[i / 4][i % 4], row + i % 4 / 2 * 8, col + i / 4 * 8 + i % 2);
    }
}

// Scores beyond the last key, where columns are keys, count for nothing.
template <int N> __device__ __forceinline__ void hide_absent(float (&s)[N][4], int present) {
#pragma unroll
    for (int i = 0; i < 4 * N; i++) {
        if (i / 4 * 8 + 2 * lane_t() + i % 2 >= present) s[i / 4][i % 4] = NEGATIVE_INFINITY;
    }
}

// Nor do those beyond the window. `row` and `col` as above.
template <int N> __device__ __forceinline__ void hide_distant(float (&s)[N][4], int row, int col, int window) {
    // Most often each of the rows sees each of the columns.
    if (col - row >= WARP_ROWS - 1 - window && col - row + 8 * N - 1 <= window) return;
    int after = col + 2 * lane_t() - row - lane_g(), left = after + window, right = after - window;
#pragma unroll
    for (int i = 0; i < 4 * N; i++) {
        int further = i / 4 * 8 + i % 2 - i % 4 / 2 * 8;
        if (left + further < 0 || right + further > 0) s[i / 4][i % 4] = NEGATIVE_INFINITY;
    }
}

// c += p tile, over the 8 N rows of the tile from `first` on.
template <int D, int N>
__device__ __forceinline__ void accumulate(const float (&p)[N][4], bf16 *tile, int first, float (&c)[D / 8][4]) {
    LaneChunks<D> chunks = corners<D>(tile, first);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
        const u32 a[4] = {pack_bf16(p[n][0], p[n][1]), pack_bf16(p[n][2], p[n][3]),
                          pack_bf16(p[n + 1][0], p[n + 1][1]), pack_bf16(p[n + 1][2], p[n + 1][3])};
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            u32 b[4];
            ldmatrix_x4_transposed(b, chunks.at(8 * n, k));
            mma_pair(c[2 * k], c[2 * k + 1], a, b);
        }
    }
}

// Writes the rows of this warp that exist, row g times factor[0], row g + 8 times factor[1]. Four lanes write 16
// bytes in a row; a block does this once.
template <int D>
__device__ __forceinline__ void store_rows(const float (&c)[D / 8][4], float (&factor)[2], bf16 *to,
                                           u32 first_row, int apart, int present) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = warp_row() + lane_g() + 8 * half;
        if (row >= present) return;
        bf16 *out = to + size_t(first_row + u32(row) * apart) * D + 2 * lane_t();
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            float pair[2] = {factor[half] * c[n][2 * half], factor[half] * c[n][2 * half + 1]};
            store_floats(pair, out + 8 * n);
        }
    }
}

// The same with one factor.
template <int D>
__device__ __forceinline__ void store_scaled(const float (&c)[D / 8][4], float factor, bf16 *to, u32 first_row,
                                             int apart, int present) {
    float factors[2] = {factor, factor};
    store_rows<D>(c, factors, to, first_row, apart, present);
}
