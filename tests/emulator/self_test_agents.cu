// Kernels of self_test.cpp by the instructions of ptx.cuh and hopper.cuh: what works in the background, rightly and, in
// the second block alone, with a mistake that the detector of races must report.
#include "hopper.cuh"
#include "ptx.cuh"

enum Mistake { NONE, UNAWAITED, UNSHARED, REFILLED, OTHER_AWAITED, ONE_WARP_AWAITS, RELEASED_EARLY, UNSHOWN };

// One arrival a warp.
__device__ __forceinline__ void release(Barrier *empty) {
    if (lane_of_warp() == 0) barrier_arrive(empty);
}

// Sums of columns of `in`, [4, 128]: two stages, and each thread adds what one of another warp has copied.
template <Mistake MISTAKE> __device__ __forceinline__ void copies(const float *in, float *out) {
    __shared__ float stages[2][128];
    Mistake mistake = blockIdx.x == 1 ? MISTAKE : NONE;
    int other = threadIdx.x ^ WARP;
    float sum = 0.0f;
    copy_async<4>(&stages[0][threadIdx.x], in + threadIdx.x, true);
    commit_copies();
    for (int row = 0; row < 4; row++) {
        int next = row + 1;
        copy_async<4>(&stages[next % 2][threadIdx.x], in + next * 128 + threadIdx.x, next < 4);
        commit_copies();
        if (mistake != UNAWAITED) wait_for_copies<1>();
        if (mistake != UNSHARED) __syncthreads();
        sum += stages[row % 2][other];
        if (mistake != REFILLED) __syncthreads();
    }
    wait_for_copies<0>();
    out[blockIdx.x * 128 + other] = sum;
}

#define COPIES(NAME, MISTAKE) \
    extern "C" __global__ void NAME(const float *in, float *out) { copies<MISTAKE>(in, out); }
COPIES(copies_of_threads, NONE)
COPIES(race_copy_unawaited, UNAWAITED)
COPIES(race_copy_unshared, UNSHARED)
COPIES(race_copy_refilled, REFILLED)

// C = A B^T, A [64, 256] and B [128, 256], by a warpgroup that multiplies, and a thread that fills two stages for it.
template <Mistake MISTAKE>
__device__ __forceinline__ void product(const TensorMap &map_a, const TensorMap &map_b, float *c) {
    constexpr int A_BYTES = 64 * 128, BYTES = A_BYTES + 128 * 128;
    __shared__ Barrier full[2], empty[2];
    Mistake mistake = blockIdx.x == 1 ? MISTAKE : NONE;
    u8 *stages = dynamic_shared<u8>();
    if (threadIdx.x == 0) {
        for (int i = 0; i < 2; i++) barrier_init(&full[i], 1), barrier_init(&empty[i], 4);
        barriers_ready();
    }
    __syncthreads();
    if (threadIdx.x == 128) {
        for (int step = 0; step < 4; step++) {
            int at = step % 2, parity = step / 2;
            u8 *stage = stages + at * BYTES;
            barrier_wait(&empty[at], parity ^ 1);
            barrier_arrive_expect(&full[at], BYTES);
            copy_box(stage, map_a, step * 64, 0, &full[at]);
            copy_box(stage + A_BYTES, map_b, step * 64, 0, &full[at]);
        }
    }
    if (threadIdx.x >= 128) return;
    float sums[64];
    u64 boxes = descriptor_of_boxes<K_MAJOR>(0);
    for (int step = 0; step < 4; step++) {
        int at = step % 2, parity = step / 2;
        bool awaits = mistake != UNAWAITED && (mistake != ONE_WARP_AWAITS || warp_of_block() == 3);
        if (awaits) barrier_wait(&full[mistake == OTHER_AWAITED ? at ^ 1 : at], parity);
        u32 a = shared_handle(stages + at * BYTES), b = a + A_BYTES;
        wgmma_fence();
        for (int k = 0; k < 64; k += 16)
            wgmma<K_MAJOR, K_MAJOR>(sums, with_address(boxes, a + 2 * k), with_address(boxes, b + 2 * k), step + k);
        wgmma_commit();
        wgmma_wait<1>(); // all but this step's
        if (mistake == RELEASED_EARLY) release(&empty[at]);
        else if (step > 0) release(&empty[at ^ 1]);
    }
    wgmma_wait_all(sums);
    for (int i = 0; i < 64; i++) {
        int row = warp_of_block() * 16 + lane_of_warp() / 4 + i / 2 % 2 * 8;
        c[(blockIdx.x * 64 + row) * 128 + i / 4 * 8 + lane_of_warp() % 4 * 2 + i % 2] = sums[i];
    }
}

#define PRODUCT(NAME, MISTAKE) \
    extern "C" __global__ void \
    NAME(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float *c) { \
        product<MISTAKE>(a, b, c); \
    }
PRODUCT(product_of_warpgroup, NONE)
PRODUCT(race_product_unawaited, UNAWAITED)
PRODUCT(race_product_other_awaited, OTHER_AWAITED)
PRODUCT(race_product_one_warp_awaits, ONE_WARP_AWAITS)
PRODUCT(race_product_released_early, RELEASED_EARLY)

// Two boxes of 16 rows for each block, through one place in shared memory: element (row, col) is 64 row + col.
template <Mistake MISTAKE> __device__ __forceinline__ void boxes(const TensorMap &map) {
    Mistake mistake = blockIdx.x == 1 ? MISTAKE : NONE;
    u16 *box = dynamic_shared<u16>();
    int lane = lane_of_warp(), row = lane % 16, g = lane / 4, t = lane % 4;
    for (int turn = 0; turn < 2; turn++) {
        int first = blockIdx.x * 32 + turn * 16;
        if (mistake != REFILLED) wait_for_stores<0>();
        __syncwarp();
        for (int chunk = 0; chunk < 8; chunk += 2) {
            u32 words[4];
            for (int i = 0; i < 4; i++) {
                u32 low = (first + g + 8 * (i % 2)) * 64 + (chunk + i / 2) * 8 + 2 * t;
                words[i] = low | (low + 1) << 16;
            }
            stmatrix_x4(box + row * 64 + ((chunk + lane / 16) ^ (row & 7)) * 8, words);
        }
        if (mistake != UNSHOWN) show_to_engine();
        if (mistake != UNSHARED) __syncwarp();
        if (lane == 0) {
            store_box(map, 0, first, box);
            commit_stores();
        }
    }
    wait_for_stores<0>();
}

#define BOXES(NAME, MISTAKE) \
    extern "C" __global__ void NAME(const __grid_constant__ TensorMap map) { boxes<MISTAKE>(map); }
BOXES(boxes_out, NONE)
BOXES(boxes_unshown, UNSHOWN)
BOXES(race_box_unshared, UNSHARED)
BOXES(race_box_refilled, REFILLED)
