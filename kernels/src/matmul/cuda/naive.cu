// Rung 1: the definition, one thread an element of C, at any strides.
//
// Each multiplication costs two loads. A warp has 32 neighbours of a row of C: it reads one element of A, the same
// for all, and 32 of B, one access if they are neighbours (nn, tn) and 32 if not (nt). Both come from caches for
// the most part, which hardly helps: 2 operations for 8 bytes asked of L1 make some 0.25 a byte, and L1 gives 128
// bytes a cycle where the arithmetic takes 256 operations. Ceiling, an estimate: an eighth of the f32 peak where
// the loads are neighbours, a few percent where they are not.
#include "strided.cuh"

// What a block of 256 threads has of C.
#define ROWS 8
#define COLS 32

template <typename In, typename Out>
__device__ __forceinline__ void naive(const Product<In, Out> &p, const Strides &s) {
    int tiles = divide_up(p.m, ROWS) * divide_up(p.n, COLS);
    int batch = p.parts > 1 ? 0 : blockIdx.x / tiles; // a batch has no tiles that are cut
    Piece piece = piece_at<ROWS, COLS>(p, blockIdx.x - batch * tiles);
    int tile_row = threadIdx.x / COLS, tile_col = threadIdx.x % COLS;
    int row = piece.row + tile_row, col = piece.col + tile_col;
    if (row >= p.m || col >= p.n) return;
    const In *a = p.a + batch_offset(s, s.a_batch, batch) + row * s.a_row;
    const In *b = p.b + batch_offset(s, s.b_batch, batch) + col * s.b_col;
    float sum[1] = {0.0f};
    for (int i = piece.begin; i < piece.end; i++) {
        sum[0] += to_float(a[i * s.a_col]) * to_float(b[i * s.b_row]);
    }
    put_run(p, piece, size_t(batch) * p.m * p.ldc, tile_row, tile_col, sum);
}

extern "C" __global__ void matmul_naive(Product<hidden, hidden> p, Strides s) { naive(p, s); }

#ifdef HIDDEN_BF16
extern "C" __global__ void matmul_naive_f32(Product<hidden, float> p, Strides s) { naive(p, s); }
#endif
