// Attention backward on tensor cores, bf16. kernels/src/attention/mod.rs has the equations, fragments.cuh the
// layout.
//
// Two kernels make the scores again, one with a block for each tile of keys (dk, dv), one for each tile of
// queries (dq): two products more than one kernel would need, but no atomics, so the same bits each time. The
// former has keys in the rows of its scores, queries in the columns: what leaves a product is then, in all
// three results, what the next one takes, without a transpose through shared memory. The maximum is known, lse,
// so that nothing needs a whole tile of scores at a time: STEP columns do, which saves registers. The scale must
// be positive.
#include "fragments.cuh"

#define STEP 32
#define STEP_N (STEP / 8)

// Turns scores (or products do v^T) into probabilities after dropout (or gradients of the scores). `scale` and
// lse are in base 2.
__device__ __forceinline__ void score_gradient(float &s, float &dp, float scale, float factor, float lse,
                                               float delta) {
    float p = fast_exp2(s * scale - lse);
    s = p * factor;
    dp = p * (factor * dp - delta);
}

// What the columns of a tile of queries have: 64 times lse in base 2, then 64 times delta, a thread each. Zeros
// where there is no query: q and do are zeros there as well, so nothing comes of them.
__device__ __forceinline__ float column_statistic(const float *lse, const float *delta, const Part &part,
                                                  int first_query) {
    int query = first_query + threadIdx.x % TILE;
    if (query >= part.queries) return 0.0f;
    u32 row = part.query_row(query);
    return threadIdx.x < TILE ? lse[row] * LOG2_E : delta[row];
}

// `Rows` holds keys and values in registers where there are enough.
template <int D, typename Rows>
__device__ __forceinline__ void backward_dkdv(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *d_o,
                                              const u32 *queries, const u32 *keys, const float *lse,
                                              const float *delta, bf16 *dk, bf16 *dv, const Attention &a) {
    const int ELEMENTS = TILE * D;
    Part part = part_of_block(a, queries, keys);
    int first_key = tile_of_block(a) * TILE, present = part.keys - first_key;
    if (present <= 0) return;
    bf16 *key_tile = dynamic_shared<bf16>(), *value_tile = key_tile + ELEMENTS, *stages = value_tile + ELEMENTS;
    float *statistics = reinterpret_cast<float *>(stages + 4 * ELEMENTS);
    auto fetch = [&](int first_query) {
        bf16 *stage = stages + first_query / TILE % 2 * 2 * ELEMENTS;
        u32 row = part.query_row(first_query);
        copy_tile<D>(stage, q, row, a.heads, part.queries - first_query);
        copy_tile<D>(stage + ELEMENTS, d_o, row, a.heads, part.queries - first_query);
        commit_copies();
    };
    copy_tile<D>(key_tile, k, part.key_row(first_key), a.heads, present);
    copy_tile<D>(value_tile, v, part.key_row(first_key), a.heads, present);
    commit_copies();
    fetch(0);
    statistics[threadIdx.x] = column_statistic(lse, delta, part, 0);
    wait_for_copies<1>();
    __syncthreads();
    Rows key_rows(key_tile), value_rows(value_tile);

    bool busy = warp_row() < present; // short sequences leave most of a tile empty
    float key_grad[D / 8][4] = {}, value_grad[D / 8][4] = {};
    for (int first_query = 0; first_query < part.queries; first_query += TILE) {
        int stage = first_query / TILE % 2, next = first_query + TILE;
        wait_for_copies<0>();
        __syncthreads(); // all copies are there, and the other stage has been read
        float next_statistic = 0.0f;
        if (next < part.queries) {
            fetch(next);
            next_statistic = column_statistic(lse, delta, part, next);
        }
        bf16 *query_tile = stages + stage * 2 * ELEMENTS, *grad_tile = query_tile + ELEMENTS;
        const float *column = statistics + stage * THREADS + 2 * lane_t();
        int steps_end = busy ? min(TILE, part.queries - first_query) : 0;
#pragma unroll 1
        for (int step = 0; step < steps_end; step += STEP) {
            float s[STEP_N][4], ds[STEP_N][4];
            product<D, STEP_N>(key_rows, query_tile, step, s);
            product<D, STEP_N>(value_rows, grad_tile, step, ds);
            u32 dropped = 0;
            if (drops(a.dropout)) {
                u32 row = part.query_row(first_query + step);
                dropped = dropped_keys_in_rows<STEP_N>(a.dropout, row, a.heads, first_key + warp_row());
            }
#pragma unroll
            for (int i = 0; i < STEP_N * 4; i++) {
                int n = i / 4, e = i % 4, at = step + 8 * n + e % 2;
                float factor = drops(a.dropout) ? factor_of(a.dropout, dropped, n, e) : 1.0f;
                score_gradient(s[n][e], ds[n][e], a.scale * LOG2_E, factor, column[at], column[at + TILE]);
            }
            accumulate<D, STEP_N>(s, grad_tile, step, value_grad);
            accumulate<D, STEP_N>(ds, query_tile, step, key_grad);
        }
        statistics[(1 - stage) * THREADS + threadIdx.x] = next_statistic;
    }
    float scale[2] = {a.scale, a.scale}, one[2] = {1.0f, 1.0f};
    store_rows<D>(key_grad, scale, dk, part.key_row(first_key), a.heads, present);
    store_rows<D>(value_grad, one, dv, part.key_row(first_key), a.heads, present);
}

template <int D>
__device__ __forceinline__ void backward_dq(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *d_o,
                                                 const u32 *queries, const u32 *keys, const float *lse,
                                                 const float *delta, bf16 *dq, const Attention &a) {
    const int ELEMENTS = TILE * D;
    Part part = part_of_block(a, queries, keys);
    int first_query = tile_of_block(a) * TILE, present = part.queries - first_query;
    if (present <= 0) return;
    bf16 *query_tile = dynamic_shared<bf16>(), *grad_tile = query_tile + ELEMENTS, *stages = grad_tile + ELEMENTS;
    auto fetch = [&](int first_key) {
        bf16 *stage = stages + first_key / TILE % 2 * 2 * ELEMENTS;
        copy_tile<D>(stage, k, part.key_row(first_key), a.heads, part.keys - first_key);
        copy_tile<D>(stage + ELEMENTS, v, part.key_row(first_key), a.heads, part.keys - first_key);
        commit_copies();
    };
    copy_tile<D>(query_tile, q, part.query_row(first_query), a.heads, present);
    copy_tile<D>(grad_tile, d_o, part.query_row(first_query), a.heads, present);
    commit_copies();
    fetch(0);
    wait_for_copies<1>();
    __syncthreads();
    HeldRows<D> query_rows(query_tile), grad_rows(grad_tile);

    bool busy = warp_row() < present;
    u32 rows[2];
    float row_lse[2], row_delta[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        // Absent queries, of zeros, read the last one's.
        rows[half] = part.query_row(min(first_query + warp_row() + lane_g() + 8 * half, part.queries - 1));
        row_lse[half] = lse[rows[half]] * LOG2_E;
        row_delta[half] = delta[rows[half]];
    }
    float query_grad[D / 8][4] = {};
    for (int first_key = 0; first_key < part.keys; first_key += TILE) {
        wait_for_copies<0>();
        __syncthreads(); // all copies are there, and the other stage has been read
        if (first_key + TILE < part.keys) fetch(first_key + TILE);
        bf16 *key_tile = stages + first_key / TILE % 2 * 2 * ELEMENTS;
        int present_keys = min(TILE, part.keys - first_key), steps_end = busy ? present_keys : 0;
#pragma unroll 1
        for (int step = 0; step < steps_end; step += STEP) {
            float s[STEP_N][4], ds[STEP_N][4];
            product<D, STEP_N>(query_rows, key_tile, step, s);
            product<D, STEP_N>(grad_rows, key_tile + ELEMENTS, step, ds);
            u32 dropped = 0;
            if (drops(a.dropout)) {
                dropped = dropped_keys_in_columns<STEP_N>(a.dropout, rows, first_key + step);
            }
#pragma unroll
            for (int i = 0; i < STEP_N * 4; i++) {
                int n = i / 4, e = i % 4;
                float factor = drops(a.dropout) ? factor_of(a.dropout, dropped, n, e) : 1.0f;
                score_gradient(s[n][e], ds[n][e], a.scale * LOG2_E, factor, row_lse[e / 2], row_delta[e / 2]);
                if (step + 8 * n + 2 * lane_t() + e % 2 >= present_keys) ds[n][e] = 0.0f;
            }
            accumulate<D, STEP_N>(ds, key_tile, step, query_grad);
        }
    }
    float scale[2] = {a.scale, a.scale};
    store_rows<D>(query_grad, scale, dq, part.query_row(first_query), a.heads, present);
}

// DKDV_BLOCKS, or DQ_BLOCKS, fit a multiprocessor at once: what registers are to be found for.
#define KERNELS(D, ROWS, DKDV_BLOCKS, DQ_BLOCKS)                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, DKDV_BLOCKS)                                           \
        attention_flash_backward_dkdv_##D(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *d_o,                   \
                                 const u32 *queries, const u32 *keys, const float *lse, const float *delta,      \
                                 bf16 *dk, bf16 *dv, Attention a) {                                              \
        backward_dkdv<D, ROWS<D>>(q, k, v, d_o, queries, keys, lse, delta, dk, dv, a);                           \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, DQ_BLOCKS)                                        \
        attention_flash_backward_dq_##D(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *d_o,                \
                                    const u32 *queries, const u32 *keys, const float *lse, const float *delta,   \
                                    bf16 *dq, Attention a) {                                                     \
        backward_dq<D>(q, k, v, d_o, queries, keys, lse, delta, dq, a);                                     \
    }

// Three blocks of 168 registers a thread: what ptxas finds enough for Hopper, but not for Ampere.
#if __CUDA_ARCH__ >= 900
#define DKDV_BLOCKS_64 3
#else
#define DKDV_BLOCKS_64 2
#endif

KERNELS(32, HeldRows, 3, 3)
KERNELS(64, HeldRows, DKDV_BLOCKS_64, 3)
KERNELS(96, HeldRows, 2, 2)
KERNELS(128, SharedRows, 2, 2)
