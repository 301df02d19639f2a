// The second half of a product with tiles that were cut along K.
//
// A weight gradient of 384 x 384 has 9 tiles of 128 x 128, for 132 multiprocessors, and a K of thousands; one of
// 3072 x 768 has 144 tiles, 12 more than multiprocessors. So each part of a tile of the last round is computed by
// itself: blocks write their sums to [tiles, parts, ROWS, COLS] in f32, and this kernel adds them in the order of the
// parts, whichever came first: the same bits in every run, which atomic additions would not give. What it reads is
// still in the L2 cache where it is a few megabytes (measured on an H100: 7 MB in 5 us).
#include "product.cuh"

#define RUN 4

// `rows` and `cols` are those of a tile.
template <typename Out> __device__ __forceinline__ void add_parts(Product<hidden, Out> p, int rows, int cols) {
    int tiles_down = divide_up(p.m, rows), tiles_across = divide_up(p.n, cols);
    size_t runs = size_t(tiles_down * tiles_across - p.whole) * (rows * cols / RUN);
    for (size_t i = grid_thread(); i < runs; i += grid_threads()) {
        int cut = i / (rows * cols / RUN), inside = i % (rows * cols / RUN) * RUN;
        Tile tile = tile_at(p.whole + cut, tiles_down, tiles_across);
        Piece piece = {tile.row * rows, tile.col * cols, 0, p.k, nullptr, 0};
        int row = inside / cols, col = inside % cols;
        if (piece.row + row >= p.m || piece.col + col >= p.n) continue;
        const float *from = p.partial + size_t(cut) * p.parts * (rows * cols) + inside;
        float sum[RUN] = {};
#pragma unroll 4 // several parts on their way at once: loads take longer than all else
        for (int part = 0; part < p.parts; part++, from += rows * cols) {
            float more[RUN];
            load_floats(from, more);
#pragma unroll
            for (int j = 0; j < RUN; j++) sum[j] += more[j];
        }
        put_run(p, piece, 0, row, col, sum);
    }
}

extern "C" __global__ void matmul_add_parts(Product<hidden, hidden> p, int rows, int cols) { add_parts(p, rows, cols); }

#ifdef HIDDEN_BF16
extern "C" __global__ void matmul_add_parts_f32(Product<hidden, float> p, int rows, int cols) {
    add_parts(p, rows, cols);
}
#endif
