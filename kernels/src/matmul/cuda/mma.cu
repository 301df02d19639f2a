// Rung 3: bf16 on the tensor cores of Ampere and later, by mma.sync, fed by asynchronous copies.
//
// What it lifts: arithmetic. One instruction of a warp multiplies 16 x 16 by 16 x 8: a multiprocessor of an A100 does
// 2048 operations a cycle, 16 times those of f32. That needs operands faster than registers could carry them from
// global to shared memory, so
//
// * a block has 128 x 128 of C and moves, for 32 of K, 16 KiB for a million operations: 64 a byte;
// * cp.async copies four stages of that without registers and in the background, three ahead of the arithmetic;
// * a warp has 64 x 64 of C: it reads 8 KiB of shared memory for 262144 operations, 32 a byte, half of what 128
//   bytes a cycle allow on an A100;
// * ldmatrix reads 512 bytes an instruction, and transposes 8 x 8 elements on the way where an operand is M- or
//   N-major. Chunks of 16 bytes lie permuted, so that neither it nor the copies meet a bank twice.
//
// Ceiling, an estimate: 70 to 80 % of the tensor cores' peak on an A100. Measured on an H100: 370 TFLOP/s at K = 8192,
// half of what cuBLASLt does there by wgmma, which is what wgmma.cu is for.
//
// Rows start at multiples of 16 bytes, and the extent along a row is a multiple of 8, so that a copy is whole or not
// there. The gradients of logits over a vocabulary have neither: 30522 words are a multiple of 2 alone. For these A is
// copied by pairs, four copies for one, which by count still costs less than leaving the tensor cores. Sums are f32, in
// the order of K within a step of 16 that the tensor core adds as it likes.
#include "product.cuh"
#include "ptx.cuh"

#ifdef HIDDEN_BF16

#define TILE 128
#define DEPTH 32
#define STAGES 4
#define THREADS 128
#define WARP_TILE 64
#define CHUNK 8 // elements of a copy, but for pairs
#define OPERAND (TILE * DEPTH)
#define COPIES (OPERAND / CHUNK / THREADS) // of a thread, for an operand and a stage

// A tile of an operand in shared memory. K-major: TILE rows of DEPTH. Two rows share the 128 bytes of all banks, so
// chunks are permuted by the number of the pair. MN-major: DEPTH rows of TILE, permuted by the number of the row.
template <Major MAJOR> __device__ __forceinline__ int slot(int mn, int k) {
    if (MAJOR == K_MAJOR) return mn * DEPTH + ((k / CHUNK) ^ (mn / 2 % 4)) * CHUNK;
    return k * TILE + ((mn / CHUNK) ^ (k % 8)) * CHUNK;
}

// An operand as one thread copies it, STEP elements at a time: chunks that lie a fixed number of rows apart.
template <Major MAJOR, int STEP> struct Copier {
    static constexpr int ROW = MAJOR == K_MAJOR ? DEPTH : TILE; // elements of a row of the tile
    static constexpr int ROWS_APART = THREADS * CHUNK / ROW;

    const bf16 *from, *next; // of what is copied where nothing is; of the first chunk of the next stage
    int ld;
    int mn, k;            // of the first chunk, in the tile
    int mn_left, k_left;  // from there to the end of the operand

    __device__ __forceinline__ Copier(const bf16 *base, int ld, int first, int count, int begin, int end)
        : from(base), ld(ld) {
        int row = threadIdx.x / (ROW / CHUNK), col = threadIdx.x % (ROW / CHUNK) * CHUNK;
        mn = MAJOR == K_MAJOR ? row : col;
        k = MAJOR == K_MAJOR ? col : row;
        mn_left = count - first - mn;
        k_left = end - begin - k;
        next = base + (MAJOR == K_MAJOR ? size_t(first + mn) * ld + begin + k : size_t(begin + k) * ld + first + mn);
    }

    // Starts the copies of the next stage; where there is nothing to copy, zeros.
    __device__ __forceinline__ void copy(bf16 *tile) {
#pragma unroll
        for (int i = 0; i < COPIES; i++) {
            int rows = i * ROWS_APART, mn_more = MAJOR == K_MAJOR ? rows : 0, k_more = MAJOR == K_MAJOR ? 0 : rows;
            const bf16 *chunk = next + size_t(rows) * ld;
            bf16 *to = tile + slot<MAJOR>(mn + mn_more, k + k_more);
#pragma unroll
            for (int j = 0; j < CHUNK; j += STEP) {
                bool present = MAJOR == K_MAJOR ? mn_left > mn_more && k_left > k_more + j
                                                : mn_left > mn_more + j && k_left > k_more;
                copy_async<2 * STEP>(to + j, present ? chunk + j : from, present);
            }
        }
        next += MAJOR == K_MAJOR ? size_t(DEPTH) : size_t(DEPTH) * ld;
        k_left -= DEPTH;
    }
};

// Four 8 x 8 matrices of a tile: those of A for rows mn.. + 16 and k.. + 16, or of B for two blocks of 8 columns.
// `mn_lane` and `k_lane` are where this lane's row of its matrix is.
template <Major MAJOR>
__device__ __forceinline__ void fragments(u32 (&r)[4], const bf16 *tile, int mn_lane, int k_lane) {
    const bf16 *row = tile + slot<MAJOR>(mn_lane, k_lane);
    if (MAJOR == K_MAJOR) ldmatrix_x4(r, row);
    else ldmatrix_x4_transposed(r, row);
}

// sums += the products of one stage.
template <Major MAJOR_A, Major MAJOR_B>
__device__ __forceinline__ void
multiply(float (&sums)[4][8][4], const bf16 *a_tile, const bf16 *b_tile, int warp_row, int warp_col) {
    int lane = lane_of_warp(), row = lane % 8, first = lane / 8 % 2 * 8, second = lane / 16 * 8;
    // A wants its matrices in the order (0, 0) (8, 0) (0, 8) (8, 8) of (m, k), B in the order (0, 0) (8, 0) (0, 8)
    // (8, 8) of (k, n). A row of a stored matrix runs along K or across it.
    int a_row = warp_row + (MAJOR_A == K_MAJOR ? first + row : first);
    int a_k = MAJOR_A == K_MAJOR ? second : second + row;
    int b_col = warp_col + (MAJOR_B == K_MAJOR ? second + row : second);
    int b_k = MAJOR_B == K_MAJOR ? first : first + row;
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
        u32 a[4][4], b[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++) fragments<MAJOR_A>(a[i], a_tile, a_row + 16 * i, a_k + k);
#pragma unroll
        for (int j = 0; j < 4; j++) fragments<MAJOR_B>(b[j], b_tile, b_col + 16 * j, b_k + k);
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                u32 pair[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                mma_bf16(sums[i][j], a[i], pair);
            }
        }
    }
}

template <Major MAJOR_A, Major MAJOR_B, int STEP_A, typename Out>
__device__ __forceinline__ void product(const Product<bf16, Out> &p, int lda, int ldb) {
    bf16 *shared = dynamic_shared<bf16>(); // STAGES of A, then STAGES of B
    Piece piece = piece_at<TILE, TILE>(p, blockIdx.x);
    int steps = divide_up(piece.end - piece.begin, DEPTH);
    Copier<MAJOR_A, STEP_A> a(p.a, lda, piece.row, p.m, piece.begin, piece.end);
    Copier<MAJOR_B, CHUNK> b(p.b, ldb, piece.col, p.n, piece.begin, piece.end);
    auto fill = [&](int step) {
        bf16 *stage = shared + step % STAGES * OPERAND;
        if (step < steps) {
            a.copy(stage);
            b.copy(stage + STAGES * OPERAND);
        }
        commit_copies(); // an empty group too: the wait counts them
    };
    for (int step = 0; step < STAGES - 1; step++) fill(step);

    int warp_row = warp_of_block() / 2 * WARP_TILE, warp_col = warp_of_block() % 2 * WARP_TILE;
    float sums[4][8][4] = {};
    for (int step = 0; step < steps; step++) {
        wait_for_copies<STAGES - 2>(); // this thread's copies of the stage are there,
        __syncthreads();               // and everyone's; and all are through with the stage that is filled now
        fill(step + STAGES - 1);
        const bf16 *stage = shared + step % STAGES * OPERAND;
        multiply<MAJOR_A, MAJOR_B>(sums, stage, stage + STAGES * OPERAND, warp_row, warp_col);
    }
    __syncthreads(); // all copies were waited for, and the stages are free for slices
    float *slice = dynamic_shared<float>() + warp_of_block() * SLICE;
    put_slices(p, piece, warp_row, warp_col, SLICE_ROWS, 0, sums, slice);
}

// At most 255 registers, two blocks a multiprocessor by those and by 64 KiB of shared memory.
#define MMA(NAME, MAJOR_A, MAJOR_B, STEP_A, OUT) \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) NAME(Product<bf16, OUT> p, int lda, int ldb) { \
        product<MAJOR_A, MAJOR_B, STEP_A>(p, lda, ldb); \
    }

MMA(matmul_mma_nt, K_MAJOR, K_MAJOR, CHUNK, bf16)
MMA(matmul_mma_nn, K_MAJOR, MN_MAJOR, CHUNK, bf16)
MMA(matmul_mma_tn, MN_MAJOR, MN_MAJOR, CHUNK, float)
MMA(matmul_mma_nn_pairs, K_MAJOR, MN_MAJOR, 2, bf16)
MMA(matmul_mma_tn_pairs, MN_MAJOR, MN_MAJOR, 2, float)

#endif
