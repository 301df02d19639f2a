// Rung 4: bf16 on the tensor cores of Hopper, by wgmma, fed by its copy engine. sm_90a only.
//
// What it lifts: the instructions around the arithmetic. On rung 3 every operand passes through registers, by a
// ldmatrix of its own warp, and every thread computes addresses and starts copies. Here
//
// * wgmma reads both operands from shared memory by itself: 64 x 256 x 16 products for one instruction of four
//   warps, in the background;
// * one thread starts a copy of a whole box (TMA), which the engine also clips at the edges and permutes for the
//   banks; barriers in shared memory count its bytes;
// * warps have roles. A producer runs ahead and fills a ring of stages; two warpgroups of consumers, with 64 rows
//   of C each, do nothing but multiply. The producer's registers go to them: each thread keeps 128 sums.
// * blocks stay: one a multiprocessor, which walks over tiles, so that the producer fills stages for the next tile
//   while the consumers still write the last one;
// * the copy engine also writes C: a consumer puts its sums into shared memory and goes on with the next tile.
//
// A tile of 128 x 256 moves 48 KiB for 4.2 million operations, 85 a byte; a multiprocessor does 4096 a cycle and so
// asks the L2 cache for 48 bytes a cycle, which the one of an H100 gives: at K = 8192 a step of 64 takes 0.80 us there,
// 670 TFLOP/s in all, where cuBLASLt, which shares copies in clusters (multicast), reaches 710.
//
// Rows start at multiples of 16 bytes.
#include "product.cuh"

#ifdef HIDDEN_BF16
#if __CUDA_ARCH__ >= 900 || defined(EMULATED_GPU)
#include "hopper.cuh"

#define ROWS 128
#define DEPTH 64 // a row of 128 bytes, as wide as the swizzle
#define GROUP_ROWS 64
#define WARPGROUP 128
#define CONSUMERS 2
#define THREADS (WARPGROUP * (1 + CONSUMERS))
#define SHARED (224 * 1024) // bytes of stages and desks; behind them are the barriers
#define BOX (64 * DEPTH)    // elements of a box of an MN-major operand

// The ring: where stages are, and which parity a wait at this one has. Producer and consumers count alike.
//
// Behind the stages each warp of the consumers has a desk, where its sums lie before they leave: as boxes of 64
// columns, which the copy engine takes, or as a slice of f32.
template <int COLS> struct Ring {
    static constexpr int DESK = SLICE_ROWS * (COLS == 192 ? 192 : 128);              // elements
    static constexpr int DESKS = CONSUMERS * WARPGROUP / WARP * DESK * sizeof(bf16); // bytes of all
    static constexpr int STAGE = (ROWS + COLS) * DEPTH; // elements: A, then B
    static constexpr int BYTES = STAGE * sizeof(bf16);
    static constexpr int STAGES = (SHARED - DESKS) / BYTES;
    static_assert(DESK * sizeof(bf16) >= SLICE * sizeof(float), "a slice fits on a desk");

    bf16 *stages, *desks;
    Barrier *full, *empty;
    int at = 0, parity = 0;

    __device__ __forceinline__ Ring(u8 *shared)
        : stages(reinterpret_cast<bf16 *>(shared)), desks(stages + STAGES * STAGE),
          full(reinterpret_cast<Barrier *>(shared + SHARED)), empty(full + STAGES) {}

    __device__ __forceinline__ bf16 *stage() const { return stages + at * STAGE; }
    __device__ __forceinline__ void advance() {
        if (++at == STAGES) at = 0, parity ^= 1;
    }
};

// The COUNT rows or columns from `mn` on, and DEPTH of K from `k` on.
template <Major MAJOR, int COUNT>
__device__ __forceinline__ void copy_operand(bf16 *to, const TensorMap &map, int mn, int k, Barrier *full) {
    if (MAJOR == K_MAJOR) {
        copy_box(to, map, k, mn, full);
    } else {
#pragma unroll
        for (int i = 0; i < COUNT / 64; i++) copy_box(to + i * BOX, map, mn + i * 64, k, full);
    }
}

template <Major MAJOR_A, Major MAJOR_B, int COLS, typename Out>
__device__ __forceinline__ void
produce(const TensorMap &map_a, const TensorMap &map_b, const Product<bf16, Out> &p, Ring<COLS> ring) {
    prefetch_map(map_a);
    prefetch_map(map_b);
    for (int number = blockIdx.x; number < count_pieces<ROWS, COLS>(p); number += gridDim.x) {
        Piece piece = piece_at<ROWS, COLS>(p, number);
        for (int k = piece.begin; k < piece.end; k += DEPTH, ring.advance()) {
            // The phase before the first counts as ended: nobody has to empty a new stage.
            barrier_wait(&ring.empty[ring.at], ring.parity ^ 1);
            barrier_arrive_expect(&ring.full[ring.at], Ring<COLS>::BYTES);
            copy_operand<MAJOR_A, ROWS>(ring.stage(), map_a, piece.row, k, &ring.full[ring.at]);
            copy_operand<MAJOR_B, COLS>(ring.stage() + ROWS * DEPTH, map_b, piece.col, k, &ring.full[ring.at]);
        }
    }
}

// Starts the products of a stage. `group` says which 64 rows of A are this warpgroup's: in either layout they begin
// a box later.
template <Major MAJOR_A, Major MAJOR_B, int COLS>
__device__ __forceinline__ void multiply(float (&sums)[COLS / 2], const bf16 *stage, int group, bool first) {
    u64 a_boxes = descriptor_of_boxes<MAJOR_A>(BOX * sizeof(bf16));
    u64 b_boxes = descriptor_of_boxes<MAJOR_B>(BOX * sizeof(bf16));
    u32 a = shared_handle(stage + group * BOX), b = shared_handle(stage + ROWS * DEPTH);
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
        u32 a_at = a + (MAJOR_A == K_MAJOR ? k * 2 : k * 128), b_at = b + (MAJOR_B == K_MAJOR ? k * 2 : k * 128);
        wgmma<MAJOR_A, MAJOR_B>(sums, with_address(a_boxes, a_at), with_address(b_boxes, b_at), !first || k > 0);
    }
}

// One arrival a warp: its own wait has shown that its part of the products is done with the stage.
__device__ __forceinline__ void release(Barrier *empty) {
    if (lane_of_warp() == 0) barrier_arrive(empty);
}

// ---- C by the copy engine ----

// The bias of a piece from `col` on; a warp has all of its rows' sums.
template <int SLICES>
__device__ __forceinline__ void add_bias(const float *bias, int col, int n, float (&sums)[SLICES][8][4]) {
    col += lane_of_warp() % 4 * 2;
#pragma unroll
    for (int i = 0; i < SLICES * 8; i++, col += 8) {
        Pack<float, 2> pair = {};
        if (col < n) pair = *reinterpret_cast<const Pack<float, 2> *>(bias + col);
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i / 8][i % 8][j] += pair.at[j % 2];
    }
}

// Where the chunk of eight columns is in a row of a box, in elements: permuted as 128-byte swizzle has it.
__device__ __forceinline__ int chunk_slot(int row, int chunk) { return row * 64 + (chunk ^ (row & 7)) * 8; }

// A slice becomes a box.
__device__ __forceinline__ void fill_box(const float (&sums)[8][4], bf16 *box) {
    int row = lane_of_warp() % 16;
#pragma unroll
    for (int run = 0; run < 8; run += 2) {
        const u32 words[4] = {pack_bf16(sums[run][0], sums[run][1]), pack_bf16(sums[run][2], sums[run][3]),
                              pack_bf16(sums[run + 1][0], sums[run + 1][1]),
                              pack_bf16(sums[run + 1][2], sums[run + 1][3])};
        stmatrix_x4(box + chunk_slot(row, run + lane_of_warp() / 16), words);
    }
}

// GELU of what a box holds, which starts at (row, col) of C.
template <typename Out>
__device__ __forceinline__ void put_gelu(const Product<bf16, Out> &p, int row, int col, const bf16 *box) {
    int chunk = lane_of_warp() % 8;
    if (col + chunk * 8 >= p.n) return;
#pragma unroll 1
    for (int i = lane_of_warp() / 8; i < SLICE_ROWS; i += 4) {
        float run[8];
        load_floats(box + chunk_slot(i, chunk), run);
#pragma unroll
        for (int j = 0; j < 8; j++) run[j] = gelu_value(run[j]);
        if (row + i < p.m) store_run(run, p.gelu + size_t(row + i) * p.ldc + col + chunk * 8);
    }
}

// Writes the sums of a warp, rows from `row` on of a piece that is a whole tile. The boxes of the desk take turns: each
// is filled once the engine has read what it held.
template <int COLS, typename Out>
__device__ __forceinline__ void
put_boxes(const Product<bf16, Out> &p, const TensorMap &map_c, const Piece &piece, int row,
          float (&sums)[COLS / SLICE_COLS][8][4], bf16 *desk) {
    constexpr int ELEMENTS = SLICE_ROWS * SLICE_COLS, BOXES = Ring<COLS>::DESK / ELEMENTS;
    static_assert(COLS / SLICE_COLS % BOXES == 0, "the next tile begins with the box whose turn it is");
    row += piece.row;
    if (p.bias) add_bias(p.bias, piece.col, p.n, sums);
#pragma unroll
    for (int i = 0; i < COLS / SLICE_COLS; i++) {
        bf16 *box = desk + i % BOXES * ELEMENTS;
        int col = piece.col + i * SLICE_COLS;
        wait_for_stores<BOXES - 1>();
        __syncwarp();
        fill_box(sums[i], box);
        show_to_engine();
        __syncwarp();
        if (lane_of_warp() == 0) {
            store_box(map_c, col, row, box);
            commit_stores();
        }
        if (p.gelu) put_gelu(p, row, col, box);
    }
}

template <Major MAJOR_A, Major MAJOR_B, int COLS, typename Out>
__device__ __forceinline__ void
consume(const TensorMap &map_c, const Product<bf16, Out> &p, Ring<COLS> ring, int group) {
    int warp = warp_of_block() % 4, row = group * GROUP_ROWS + warp * SLICE_ROWS;
    bf16 *desk = ring.desks + (group * 4 + warp) * Ring<COLS>::DESK;
    for (int number = blockIdx.x; number < count_pieces<ROWS, COLS>(p); number += gridDim.x) {
        Piece piece = piece_at<ROWS, COLS>(p, number);
        float sums[COLS / SLICE_COLS][8][4];
        auto &flat = reinterpret_cast<float (&)[COLS / 2]>(sums); // wgmma has them in the same order
#pragma unroll
        for (int i = 0; i < COLS / 2; i++) flat[i] = 0.0f; // what is left where K is 0
        Barrier *before = nullptr;
        for (int k = piece.begin; k < piece.end; k += DEPTH, ring.advance()) {
            barrier_wait(&ring.full[ring.at], ring.parity);
            wgmma_fence();
            multiply<MAJOR_A, MAJOR_B, COLS>(flat, ring.stage(), group, k == piece.begin);
            wgmma_commit();
            wgmma_wait<1>(); // all but this step's
            if (before) release(before);
            before = &ring.empty[ring.at];
        }
        wgmma_wait_all(flat);
        if (before) release(before);
        if (sizeof(Out) == sizeof(bf16) && p.boxed && !piece.partial) {
            put_boxes<COLS>(p, map_c, piece, row, sums, desk);
        } else {
            wait_for_stores<0>();
            put_slices(p, piece, row, 0, 0, SLICE_COLS, sums, reinterpret_cast<float *>(desk));
        }
    }
    wait_for_stores<0>(); // the engine still reads from this block's memory
}

template <Major MAJOR_A, Major MAJOR_B, int COLS, typename Out>
__device__ __forceinline__ void
product(const TensorMap &map_a, const TensorMap &map_b, const TensorMap &map_c, const Product<bf16, Out> &p) {
    Ring<COLS> ring(dynamic_shared<u8>());
    if (threadIdx.x == 0) {
        for (int i = 0; i < Ring<COLS>::STAGES; i++) {
            barrier_init(&ring.full[i], 1);
            barrier_init(&ring.empty[i], CONSUMERS * WARPGROUP / WARP);
        }
        barriers_ready();
    }
    __syncthreads();
    // 168 registers a thread to begin with, 65536 in all: 128 x 40 + 256 x 232 are 64512.
    if (threadIdx.x < WARPGROUP) {
        fewer_registers<40>();
        if (threadIdx.x == 0) produce<MAJOR_A, MAJOR_B>(map_a, map_b, p, ring);
    } else {
        more_registers<232>();
        consume<MAJOR_A, MAJOR_B>(map_c, p, ring, threadIdx.x / WARPGROUP - 1);
    }
}

#define WGMMA(NAME, MAJOR_A, MAJOR_B, COLS, OUT) \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) \
    NAME(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, \
         const __grid_constant__ TensorMap c, const __grid_constant__ Product<bf16, OUT> p) { \
        product<MAJOR_A, MAJOR_B, COLS>(a, b, c, p); \
    }

WGMMA(matmul_wgmma_nt_128, K_MAJOR, K_MAJOR, 128, bf16)
WGMMA(matmul_wgmma_nt_192, K_MAJOR, K_MAJOR, 192, bf16)
WGMMA(matmul_wgmma_nt_256, K_MAJOR, K_MAJOR, 256, bf16)
WGMMA(matmul_wgmma_nn_128, K_MAJOR, MN_MAJOR, 128, bf16)
WGMMA(matmul_wgmma_nn_192, K_MAJOR, MN_MAJOR, 192, bf16)
WGMMA(matmul_wgmma_nn_256, K_MAJOR, MN_MAJOR, 256, bf16)
WGMMA(matmul_wgmma_tn_128, MN_MAJOR, MN_MAJOR, 128, float)
WGMMA(matmul_wgmma_tn_192, MN_MAJOR, MN_MAJOR, 192, float)
WGMMA(matmul_wgmma_tn_256, MN_MAJOR, MN_MAJOR, 256, float)

#endif
#endif
