// Rung 2: a block computes a tile of 128 x 128, a thread 8 x 8 of it, from operands in shared memory.
//
// What it lifts: the loads. A step of K moves 128 + 128 elements from global to shared memory for 128 x 128
// multiplications, 128 operations for each f32 loaded. From there a thread reads 8 + 8 elements for 64
// multiplications, 2 operations a byte: just what a multiprocessor needs that does 256 operations a cycle and reads
// 128 bytes of shared memory, and most of these reads are the same for several threads of a warp and made once.
// Ceiling, an estimate: 80 to 90 % of the f32 peak where there are tiles enough; below one tile a multiprocessor,
// split.cu helps.
//
// Two tiles of each operand are in shared memory: one is computed with, the other is filled meanwhile from
// registers, whose loads were issued before the computing. One barrier a step.
//
// This is the rung that all products of f32 take, and those of bf16 whose rows do not start at multiples of 16
// bytes. Sums are f32, each in the order of K.
#include "strided.cuh"

#define TILE 128
#define DEPTH 8
#define THREADS 256
#define PIECE (TILE * DEPTH / THREADS) // elements of an operand that a thread moves at a step
#define PITCH (TILE + 4) // rows of a tile start 4 banks apart: writes along K meet no bank twice

// How threads walk over a tile of an operand, stored [K, TILE] in shared memory.
enum Walk {
    ALONG_K,  // four neighbours along K at once
    ALONG_MN, // four neighbours along M or N at once
    SINGLY,   // one by one, at any strides; neighbouring threads take what may be neighbours
};

// An operand as one thread walks over it: which elements it moves at a step, and where they go.
template <Walk WALK, typename In> struct Walker {
    const In *next;    // the first one of the next step
    long long advance; // from step to step
    long long hop;     // SINGLY: from element to element; likewise below
    int mn_left, mn_hop; // how many rows or columns there are from the first one on
    int k_left, k_hop;
    int slot, slot_hop; // the place in shared memory, [DEPTH, PITCH]

    // The strip of TILE rows or columns that starts at `from`, `count` of which are there, of K `depth` elements.
    __device__ __forceinline__
    Walker(const In *from, long long mn_stride, long long k_stride, int count, int depth) {
        int t = threadIdx.x;
        bool along_k = WALK == ALONG_K || (WALK == SINGLY && k_stride == 1);
        int mn = along_k ? t / DEPTH : t % TILE, k = along_k ? t % DEPTH : t / TILE;
        if (WALK == ALONG_K) mn = t / 2, k = t % 2 * 4;
        if (WALK == ALONG_MN) mn = t % 32 * 4, k = t / 32;
        mn_hop = along_k ? THREADS / DEPTH : 0;
        k_hop = along_k ? 0 : THREADS / TILE;
        mn_left = count - mn;
        k_left = depth - k;
        next = from + mn * mn_stride + k * k_stride;
        advance = WALK == ALONG_K ? DEPTH : DEPTH * k_stride;
        hop = mn_hop * mn_stride + k_hop * k_stride;
        slot = k * PITCH + mn;
        slot_hop = k_hop * PITCH + mn_hop;
    }

    // The elements of the next step; zeros where there are none. The extent in the direction of a walk by four is
    // a multiple of four, so four are there or none is.
    __device__ __forceinline__ void fetch(float (&piece)[PIECE]) {
#pragma unroll
        for (int i = 0; i < PIECE; i++) piece[i] = 0.0f;
        if constexpr (WALK != SINGLY) {
            if (mn_left > 0 && k_left > 0) load_floats(next, piece);
        } else {
#pragma unroll
            for (int i = 0; i < PIECE; i++) {
                if (mn_left > i * mn_hop && k_left > i * k_hop) piece[i] = to_float(next[i * hop]);
            }
        }
        next += advance;
        k_left -= DEPTH;
    }

    __device__ __forceinline__ void deposit(const float (&piece)[PIECE], float (&tile)[DEPTH][PITCH]) const {
        float *to = &tile[0][0] + slot;
        if constexpr (WALK == ALONG_MN) {
            store_floats(piece, to);
        } else {
#pragma unroll
            for (int i = 0; i < PIECE; i++) to[i * (WALK == ALONG_K ? PITCH : slot_hop)] = piece[i];
        }
    }
};

// Eight elements of a row of a tile: four from `first` on and four half a tile further. The threads of a warp then
// read neighbouring groups of four, which meet no bank twice.
__device__ __forceinline__ void read_halves(const float (&row)[PITCH], int first, float (&to)[8]) {
    float low[4], high[4];
    load_floats(&row[first], low);
    load_floats(&row[first + TILE / 2], high);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        to[i] = low[i];
        to[i + 4] = high[i];
    }
}

template <Walk WALK_A, Walk WALK_B, typename In, typename Out>
__device__ __forceinline__ void tiled(const Product<In, Out> &p, const Strides &s) {
    __shared__ __align__(16) float a_tile[2][DEPTH][PITCH], b_tile[2][DEPTH][PITCH];
    int rows = divide_up(p.m, TILE), cols = divide_up(p.n, TILE);
    // A batch has no tiles that are cut.
    int batch = p.parts > 1 ? 0 : blockIdx.x / (rows * cols);
    Piece piece = piece_at<TILE, TILE>(p, blockIdx.x - batch * rows * cols);
    int row = piece.row, col = piece.col, k = piece.begin, depth = piece.end - k;
    const In *a_from = p.a + batch_offset(s, s.a_batch, batch) + row * s.a_row + k * s.a_col;
    const In *b_from = p.b + batch_offset(s, s.b_batch, batch) + col * s.b_col + k * s.b_row;
    Walker<WALK_A, In> a(a_from, s.a_row, s.a_col, p.m - row, depth);
    Walker<WALK_B, In> b(b_from, s.b_col, s.b_row, p.n - col, depth);
    // A warp covers 4 x 8 of the 16 x 16 threads, so that both of its operands are broadcast.
    int lane = lane_of_warp(), warp = warp_of_block();
    int thread_row = (warp / 2 * 4 + lane / 8) * 4, thread_col = (warp % 2 * 8 + lane % 8) * 4;

    float sums[8][8] = {};
    float a_piece[PIECE], b_piece[PIECE];
    a.fetch(a_piece);
    b.fetch(b_piece);
    for (int stage = 0; depth > 0; depth -= DEPTH, stage ^= 1) {
        a.deposit(a_piece, a_tile[stage]);
        b.deposit(b_piece, b_tile[stage]);
        // The only barrier: nobody writes this stage again before all have passed the next one, and by then all
        // have read it.
        __syncthreads();
        a.fetch(a_piece);
        b.fetch(b_piece);
// Two steps at a time: with the operands of more of them, the sums would not fit the registers.
#pragma unroll 2
        for (int step = 0; step < DEPTH; step++) {
            float x[8], y[8];
            read_halves(a_tile[stage][step], thread_row, x);
            read_halves(b_tile[stage][step], thread_col, y);
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sums[i][j] = fmaf(x[i], y[j], sums[i][j]);
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float run[4];
#pragma unroll
            for (int j = 0; j < 4; j++) run[j] = sums[i][half * 4 + j];
            int at_row = thread_row + i % 4 + i / 4 * (TILE / 2), at_col = thread_col + half * (TILE / 2);
            put_run(p, piece, size_t(batch) * p.m * p.ldc, at_row, at_col, run);
        }
    }
}

// At most 128 registers, so that a second block hides what the first one waits for.
#define TILED(NAME, WALK_A, WALK_B, OUT) \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) NAME(Product<hidden, OUT> p, Strides s) { \
        tiled<WALK_A, WALK_B>(p, s); \
    }

TILED(matmul_tiled, SINGLY, SINGLY, hidden)

#ifdef HIDDEN_BF16
TILED(matmul_tiled_f32, SINGLY, SINGLY, float)
#else
TILED(matmul_tiled_nt, ALONG_K, ALONG_K, hidden)
TILED(matmul_tiled_nn, ALONG_K, ALONG_MN, hidden)
TILED(matmul_tiled_tn, ALONG_MN, ALONG_MN, hidden)
TILED(matmul_tiled_tt, ALONG_MN, ALONG_K, hidden)
#endif
