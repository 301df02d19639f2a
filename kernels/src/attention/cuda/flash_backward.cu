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

// ---- dk and dv: rows are keys, columns queries ----

// What the columns of a tile of queries have: 64 times lse in base 2, then 64 times delta, a thread each. Zeros
// where there is no query: q and do are zeros there as well, so nothing comes of them.
__device__ __forceinline__ float column_statistic(const Backward<bf16> &b, const Part &part, int first_query) {
    int query = first_query + threadIdx.x % TILE;
    if (query >= part.queries) return 0.0f;
    u32 row = part.query_row(query);
    return threadIdx.x < TILE ? b.lse[row] * LOG2_E : b.delta[row];
}

// The gradients of a step whose first query has the mask row `mask_row`. `column`: the statistics of this lane's
// first query; `first_key`: of this warp.
__device__ __forceinline__ void gradients_by_column(const Attention &a, u32 mask_row, int first_key,
                                                    const float *column, float (&s)[STEP_N][4],
                                                    float (&ds)[STEP_N][4]) {
    u32 dropped = 0;
    if (drops(a.dropout)) dropped = dropped_keys_in_rows<STEP_N>(a.dropout, mask_row, a.heads, first_key);
#pragma unroll
    for (int i = 0; i < STEP_N * 4; i++) {
        int n = i / 4, e = i % 4, at = 8 * n + e % 2;
        float factor = drops(a.dropout) ? factor_of(a.dropout, dropped, n, e) : 1.0f;
        score_gradient(s[n][e], ds[n][e], a.scale * LOG2_E, factor, column[at], column[at + TILE]);
    }
}

// `Rows` holds keys and values in registers where there are enough.
template <int D, typename Rows>
__device__ __forceinline__ void backward_dkdv(const Backward<bf16> &b, bf16 *dk, bf16 *dv) {
    const int ELEMENTS = TILE * D;
    const Attention &a = b.a;
    Part part = part_of_block(b);
    int first_key = tile_of_block(a) * TILE, present = part.keys - first_key;
    if (present <= 0) return;
    bf16 *key_tile = dynamic_shared<bf16>(), *stages = key_tile + 2 * ELEMENTS;
    float *statistics = reinterpret_cast<float *>(stages + 4 * ELEMENTS);
    auto fetch = [&](int first_query) {
        bf16 *stage = stage_of<D>(stages, first_query);
        copy_pair<D>(stage, b.q, b.d_o, part.query_row(first_query), a.heads, part.queries - first_query);
    };
    copy_pair<D>(key_tile, b.k, b.v, part.key_row(first_key), a.heads, present);
    fetch(0);
    statistics[threadIdx.x] = column_statistic(b, part, 0);
    wait_for_copies<1>();
    __syncthreads();
    Rows key_rows(key_tile), value_rows(key_tile + ELEMENTS);

    bool busy = warp_row() < present; // short sequences leave most of a tile empty
    float key_grad[D / 8][4] = {}, value_grad[D / 8][4] = {};
    for (int first_query = 0; first_query < part.queries; first_query += TILE) {
        int stage = first_query / TILE % 2, next = first_query + TILE;
        wait_for_copies<0>();
        __syncthreads(); // all copies are there, and the other stage has been read
        float next_statistic = 0.0f;
        if (next < part.queries) {
            fetch(next);
            next_statistic = column_statistic(b, part, next);
        }
        bf16 *query_tile = stage_of<D>(stages, first_query), *grad_tile = query_tile + ELEMENTS;
        const float *column = statistics + stage * THREADS + 2 * lane_t();
        int steps_end = busy ? min(TILE, part.queries - first_query) : 0;
#pragma unroll 1
        for (int step = 0; step < steps_end; step += STEP) {
            float s[STEP_N][4], ds[STEP_N][4];
            product<D, STEP_N>(key_rows, query_tile, step, s);
            product<D, STEP_N>(value_rows, grad_tile, step, ds);
            u32 mask_row = part.query_row(first_query + step);
            gradients_by_column(a, mask_row, first_key + warp_row(), column + step, s, ds);
            accumulate<D, STEP_N>(s, grad_tile, step, value_grad);
            accumulate<D, STEP_N>(ds, query_tile, step, key_grad);
        }
        statistics[(1 - stage) * THREADS + threadIdx.x] = next_statistic;
    }
    store_scaled<D>(key_grad, a.scale, dk, part.key_row(first_key), a.heads, present);
    store_scaled<D>(value_grad, 1.0f, dv, part.key_row(first_key), a.heads, present);
}

// ---- dq: rows are queries, columns keys ----

// What the two rows of this lane have: the row of the mask, lse in base 2, and delta.
struct RowStatistics {
    u32 mask_row[2];
    float lse[2], delta[2];

    __device__ __forceinline__ RowStatistics(const Backward<bf16> &b, const Part &part, int first_query) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            // Absent queries, of zeros, read the last one's.
            u32 row = part.query_row(min(first_query + warp_row() + lane_g() + 8 * half, part.queries - 1));
            mask_row[half] = row;
            lse[half] = b.lse[row] * LOG2_E;
            delta[half] = b.delta[row];
        }
    }
};

// The gradients of a step of keys from `first_key` on; there are `keys` in all.
__device__ __forceinline__ void gradients_by_row(const Attention &a, const RowStatistics &rows, int first_key,
                                                 int keys, float (&s)[STEP_N][4], float (&ds)[STEP_N][4]) {
    u32 dropped = 0;
    if (drops(a.dropout)) dropped = dropped_keys_in_columns<STEP_N>(a.dropout, rows.mask_row, first_key);
#pragma unroll
    for (int i = 0; i < STEP_N * 4; i++) {
        int n = i / 4, e = i % 4;
        float factor = drops(a.dropout) ? factor_of(a.dropout, dropped, n, e) : 1.0f;
        score_gradient(s[n][e], ds[n][e], a.scale * LOG2_E, factor, rows.lse[e / 2], rows.delta[e / 2]);
        if (first_key + 8 * n + 2 * lane_t() + e % 2 >= keys) ds[n][e] = 0.0f;
    }
}

template <int D> __device__ __forceinline__ void backward_dq(const Backward<bf16> &b, bf16 *dq) {
    const int ELEMENTS = TILE * D;
    const Attention &a = b.a;
    Part part = part_of_block(b);
    int first_query = tile_of_block(a) * TILE, present = part.queries - first_query;
    if (present <= 0) return;
    bf16 *query_tile = dynamic_shared<bf16>(), *stages = query_tile + 2 * ELEMENTS;
    Keys<D> keys{stages, b.k, b.v, part.key_row(0), a.heads, part.keys};
    copy_pair<D>(query_tile, b.q, b.d_o, part.query_row(first_query), a.heads, present);
    keys.fetch(0);
    wait_for_copies<1>();
    __syncthreads();
    HeldRows<D> query_rows(query_tile), grad_rows(query_tile + ELEMENTS);

    bool busy = warp_row() < present;
    RowStatistics rows(b, part, first_query);
    float query_grad[D / 8][4] = {};
    for (int first_key = 0; first_key < part.keys; first_key += TILE) {
        bf16 *key_tile = keys.next(first_key);
        int steps_end = busy ? min(TILE, part.keys - first_key) : 0;
#pragma unroll 1
        for (int step = 0; step < steps_end; step += STEP) {
            float s[STEP_N][4], ds[STEP_N][4];
            product<D, STEP_N>(query_rows, key_tile, step, s);
            product<D, STEP_N>(grad_rows, key_tile + ELEMENTS, step, ds);
            gradients_by_row(a, rows, first_key + step, part.keys, s, ds);
            accumulate<D, STEP_N>(ds, key_tile, step, query_grad);
        }
    }
    store_scaled<D>(query_grad, a.scale, dq, part.query_row(first_query), a.heads, present);
}

// DKDV_BLOCKS, or DQ_BLOCKS, fit a multiprocessor at once: what registers are to be found for.
#define KERNELS(D, ROWS, DKDV_BLOCKS, DQ_BLOCKS)                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS, DKDV_BLOCKS)                                           \
        attention_flash_backward_dkdv_##D(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *d_o,          \
                                          const u32 *queries, const u32 *keys, const float *lse,                 \
                                          const float *delta, bf16 *dk, bf16 *dv, Attention a) {                 \
        backward_dkdv<D, ROWS<D>>(Backward<bf16>{q, k, v, d_o, queries, keys, lse, delta, a}, dk, dv);           \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, DQ_BLOCKS)                                             \
        attention_flash_backward_dq_##D(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *d_o,            \
                                        const u32 *queries, const u32 *keys, const float *lse,                   \
                                        const float *delta, bf16 *dq, Attention a) {                             \
        backward_dq<D>(Backward<bf16>{q, k, v, d_o, queries, keys, lse, delta, a}, dq);                          \
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
