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
//     tn    dw = dy^T x    A M-major, B N-major        O x I, K = T: few tiles and a long K
#pragma once
#include "normal.cuh"

// kernels/src/matmul/cuda/param.rs has the same fields.
template <typename In, typename Out> struct Product {
    const In *a, *b;
    Out *c;
    const float *bias;   // [N], or none
    const Out *residual; // [M, N] with the rows of C, or none
    Out *gelu;           // the same
    float *partial;      // sums of the parts of tiles: [tiles that are cut, parts, rows of a tile, columns of a tile]
    int m, n, k;
    int ldc;
    int whole;  // tiles before this one are computed whole, the others in parts of K
    int parts;  // of each of those
    int k_part; // K of one part, a multiple of 64
    int wide;   // whether all of the above may be accessed by 16 bytes, at columns that are a multiple of 8
    int boxed;  // whether the copy engine writes C, of bf16 and with no more than a bias: wgmma.cu
};

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

// ---- Pieces: whole tiles, then parts of tiles ----
//
// 144 tiles on 132 multiprocessors take as long as 264. So the tiles of the last round, which does not fill the GPU,
// are cut along K where that pays, and split.cu adds the sums of their parts.

// What a block computes at a time.
struct Piece {
    int row, col;   // of its first element in C
    int begin, end; // of K
    float *partial; // where the sums go if it is a part of a tile, row by row; else none
    int pitch;      // elements from row to row there
};

template <int ROWS, int COLS, typename P> __device__ __forceinline__ Piece piece_at(const P &p, int number) {
    int cut = number - p.whole, part = cut % p.parts;
    Tile tile = tile_at(cut < 0 ? number : p.whole + cut / p.parts, divide_up(p.m, ROWS), divide_up(p.n, COLS));
    Piece piece = {tile.row * ROWS, tile.col * COLS, 0, p.k, nullptr, COLS};
    if (cut >= 0) {
        piece.begin = part * p.k_part;
        piece.end = min(p.k, piece.begin + p.k_part);
        piece.partial = p.partial + size_t(cut) * (ROWS * COLS);
    }
    return piece;
}

// How many there are in one product.
template <int ROWS, int COLS, typename P> __device__ __forceinline__ int count_pieces(const P &p) {
    int tiles = divide_up(p.m, ROWS) * divide_up(p.n, COLS);
    return p.whole + (tiles - p.whole) * p.parts;
}

// ---- After the sum ----

// Adds what belongs to runs of N neighbours of C, all within it and aligned: `at` is the place of the first, the others
// begin `apart` behind each other in the same column `col`. One branch for all loads: each would wait for its own.
template <int RUNS, int N, typename In, typename Out>
__device__ __forceinline__ void
add_terms(const Product<In, Out> &p, size_t at, size_t apart, int col, float (&runs)[RUNS][N]) {
    if (p.bias) {
        float bias[N];
        load_floats(p.bias + col, bias);
#pragma unroll
        for (int i = 0; i < RUNS * N; i++) runs[i / N][i % N] += bias[i % N];
    }
    if (p.residual) {
        float more[RUNS][N];
#pragma unroll
        for (int i = 0; i < RUNS; i++) load_floats(p.residual + at + i * apart, more[i]);
#pragma unroll
        for (int i = 0; i < RUNS * N; i++) runs[i / N][i % N] += more[i / N][i % N];
    }
}

// Of the eight elements of a run the compiler makes stores of 4 and of 2 bytes where it finds other uses for them,
// which cost 5 us a tile (measured on an H100); so they are put into words here.
__device__ __forceinline__ void store_run(const float (&run)[8], bf16 *to) {
    const u32 words[4] = {pack_bf16(run[0], run[1]), pack_bf16(run[2], run[3]), pack_bf16(run[4], run[5]),
                          pack_bf16(run[6], run[7])};
    store_words(words, to);
}
template <int N, typename Out> __device__ __forceinline__ void store_run(const float (&run)[N], Out *to) {
    store_floats(run, to);
}

// Writes one. GELU is applied to the value that C holds, rounded if it is bf16: fused or not, the bits are the same,
// and the backward reads that value.
template <int N, typename In, typename Out>
__device__ __forceinline__ void write_run(const Product<In, Out> &p, size_t at, float (&run)[N]) {
    store_run(run, p.c + at);
    if (p.gelu) {
#pragma unroll
        for (int i = 0; i < N; i++) run[i] = gelu_value(to_float(from_float<Out>(run[i])));
        store_run(run, p.gelu + at);
    }
}

// Both at the edge, or where accesses of 16 bytes are not allowed: an element at a time.
template <int N, typename In, typename Out>
__device__ __forceinline__ void write_edge(const Product<In, Out> &p, size_t at, int col, const float (&sum)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        float one[1][1] = {{sum[i]}};
        if (col + i >= p.n) return;
        add_terms(p, at + i, 0, col + i, one);
        write_run(p, at + i, one[0]);
    }
}

// N neighbours of the sums of a piece: `row` and `col`, a multiple of N, count from its first element. Those beyond M
// and N are none.
template <int N, typename In, typename Out>
__device__ __forceinline__ void
put_run(const Product<In, Out> &p, const Piece &piece, size_t c_offset, int row, int col, float (&sum)[N]) {
    if (piece.partial) return store_floats(sum, piece.partial + row * piece.pitch + col);
    row += piece.row;
    col += piece.col;
    if (row >= p.m || col >= p.n) return;
    size_t at = c_offset + size_t(row) * p.ldc + col;
    if (!p.wide || col + N > p.n) return write_edge(p, at, col, sum);
    auto &runs = reinterpret_cast<float (&)[1][N]>(sum);
    add_terms(p, at, 0, col, runs);
    write_run(p, at, sum);
}

// ---- From the registers of tensor cores to memory ----
//
// Tensor cores leave the sums of 16 rows x 64 columns, a slice, so that lane 4 g + t of a warp has the columns
// 8 i + 2 t and 8 i + 2 t + 1 of the rows g and g + 8: sums[i][2 * lower + j]. Memory wants runs of 16 bytes. So a warp
// takes a slice through shared memory, and the loop over slices stays a loop: registers have no index, so the move out
// of them stands there once for each slice, but all that can happen to a sum afterwards only once. Unrolled over all
// sums of a thread that is 17000 instructions, 270 KiB; fetching them took 11 to 17 us a tile, as long as the products
// (measured on an H100).

#define SLICE_ROWS 16
#define SLICE_COLS 64
#define SLICE (SLICE_ROWS * SLICE_COLS) // elements of f32

// Where the half `half`, 4 columns, of run `run`, 8 columns, of a row is. Permuted by the row: neither the pairs that
// are written nor the halves that are read meet a bank twice.
__device__ __forceinline__ int slice_slot(int row, int run, int half) {
    return row * SLICE_COLS + (half * 8 + (run ^ (row & 3) ^ (half * 4))) * 4;
}

__device__ __forceinline__ void fill_slice(const float (&sums)[8][4], float *slice) {
    int g = lane_of_warp() / 4, t = lane_of_warp() % 4;
#pragma unroll
    for (int run = 0; run < 8; run++) {
#pragma unroll
        for (int lower = 0; lower < 2; lower++) {
            Pack<float, 2> pair = {{sums[run][2 * lower], sums[run][2 * lower + 1]}};
            float *to = slice + slice_slot(g + 8 * lower, run, t / 2) + t % 2 * 2;
            *reinterpret_cast<Pack<float, 2> *>(to) = pair;
        }
    }
}

// Eight lanes have a row, of which each takes a run, and four rows at once.
__device__ __forceinline__ void read_run(const float *slice, int row, float (&run)[8]) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const float *from = slice + slice_slot(row, lane_of_warp() % 8, half);
        Pack<float, 4> pack = *reinterpret_cast<const Pack<float, 4> *>(from);
#pragma unroll
        for (int i = 0; i < 4; i++) run[half * 4 + i] = pack.at[i];
    }
}

template <typename In, typename Out>
__device__ __forceinline__ void
put_slice(const Product<In, Out> &p, const Piece &piece, int row, int col, const float *slice) {
    constexpr int RUNS = SLICE_ROWS / 4;
    int lane_row = lane_of_warp() / 8, lane_col = lane_of_warp() % 8 * 8;
    bool inside = piece.row + row + SLICE_ROWS <= p.m && piece.col + col + SLICE_COLS <= p.n;
    if (!piece.partial && !(inside && p.wide)) {
#pragma unroll 1
        for (int i = 0; i < SLICE_ROWS; i += 4) {
            float run[8];
            read_run(slice, i + lane_row, run);
            put_run(p, piece, 0, row + i + lane_row, col + lane_col, run);
        }
        return;
    }
    float runs[RUNS][8];
#pragma unroll
    for (int i = 0; i < RUNS; i++) read_run(slice, 4 * i + lane_row, runs[i]);
    row += lane_row;
    col += lane_col;
    if (piece.partial) {
#pragma unroll
        for (int i = 0; i < RUNS; i++) store_floats(runs[i], piece.partial + (row + 4 * i) * piece.pitch + col);
        return;
    }
    size_t at = size_t(piece.row + row) * p.ldc + piece.col + col, apart = size_t(4) * p.ldc;
    add_terms(p, at, apart, piece.col + col, runs);
#pragma unroll
    for (int i = 0; i < RUNS; i++) write_run(p, at + i * apart, runs[i]);
}

// The slices of a warp, from (row, col) of the piece on, each `row_step` rows and `col_step` columns after the one
// before. `slice` is shared memory of this warp, which nothing else is done with.
template <int SLICES, typename In, typename Out>
__device__ __forceinline__ void
put_slices(const Product<In, Out> &p, const Piece &piece, int row, int col, int row_step, int col_step,
           const float (&sums)[SLICES][8][4], float *slice) {
#pragma unroll 1
    for (int i = 0; i < SLICES; i++) {
        __syncwarp(); // the slice before has been read
#pragma unroll
        for (int known = 0; known < SLICES; known++)
            if (known == i) fill_slice(sums[known], slice);
        __syncwarp();
        put_slice(p, piece, row + i * row_step, col + i * col_step, slice);
    }
}
