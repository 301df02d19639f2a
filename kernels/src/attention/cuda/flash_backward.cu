// Attention backward on tensor cores, bf16. kernels/src/attention/mod.rs has the equations, fragments.cuh the
// layout, mask.cuh dropout.
//
// Two kernels make the scores again, one with a block for each tile of keys (dk, dv), one for each tile of
// queries (dq): two products more than one kernel would need, but no atomics, so the same bits each time. The
// former has keys in the rows of its scores, queries in the columns: what leaves a product is then, in all
// three results, what the next one takes, without a transpose through shared memory. The maximum is known, lse,
// so that nothing needs a whole tile of scores at a time: STEP columns do, which saves registers. The scale must
// be positive.
#include "mask.cuh"

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

// ---- Gradients of scores that leave the registers ----

// Rows of gradients in shared memory, of a step and 8 more: the lanes of an access to pairs are then in different
// banks.
#define STEP_STRIDE (STEP + 8)

// Puts the gradients of a step to `tile`, [WARP_ROWS, STEP_STRIDE], this warp's own.
__device__ __forceinline__ void share_step(float *tile, const float (&ds)[STEP_N][4]) {
    __syncwarp(); // the step before has been read
#pragma unroll
    for (int i = 0; i < 2 * STEP_N; i++) {
        float pair[2] = {ds[i / 2][i % 2 * 2], ds[i / 2][i % 2 * 2 + 1]};
        store_floats(pair, tile + (lane_g() + i % 2 * 8) * STEP_STRIDE + i / 2 * 8 + 2 * lane_t());
    }
    __syncwarp();
}

// Gives the gradients of a step to that of what scores have by distance, by way of `tile`, as above. The warp has the
// rows from `row` on, and the columns from `col` on.
template <int SIGN>
__device__ __forceinline__ void add_gradient(Nothing<SIGN> &, float *, const float (&)[STEP_N][4], int, int) {}

__device__ __forceinline__ void add_gradient(Bias<KEY_ROWS> &, float *, const float (&)[STEP_N][4], int, int) {}

// A lane adds up two diagonals.
__device__ __forceinline__ void add_gradient(Bias<QUERY_ROWS> &bias, float *tile, const float (&ds)[STEP_N][4],
                                             int row, int col) {
    share_step(tile, ds);
    int rows = min(WARP_ROWS, bias.tokens - row);
    for (int diagonal = lane_of_warp() - (WARP_ROWS - 1); diagonal < STEP; diagonal += WARP) {
        float sum = 0.0f;
        for (int i = max(0, -diagonal); i < min(rows, STEP - diagonal); i++) {
            sum += tile[i * STEP_STRIDE + i + diagonal];
        }
        bias.add_diagonal(col - row + diagonal, sum);
    }
}

// A lane writes one of 32 neighbours of each row.
template <int SIGN>
__device__ __forceinline__ void add_gradient(Products<SIGN> &products, float *tile, const float (&ds)[STEP_N][4],
                                             int row, int col) {
    static_assert(STEP == WARP, "a column a lane");
    share_step(tile, ds);
#pragma unroll 4
    for (int i = 0; i < WARP_ROWS; i++) {
        products.write(row + i, col + lane_of_warp(), tile[i * STEP_STRIDE + lane_of_warp()]);
    }
}

// What these tiles of all warps take of shared memory, if there is a use for them.
template <int SIGN> __device__ __forceinline__ constexpr int floats_of_steps() {
    return Relative<SIGN>::HAS_GRADIENT ? TILE * STEP_STRIDE : 0;
}

// ---- dk and dv: rows are keys, columns queries ----

// The queries that a block of keys walks over, in two stages as `Keys` are. A stage has tiles of q and do, the mask,
// and what columns have: 64 times lse in base 2, then 64 times delta. Mask and statistics are an element a thread.
template <int D> struct Queries {
    const Backward<bf16> &b;
    const Part &part;
    Span seen;
    int key_tile;
    bf16 *tiles;
    float *statistics;
    u32 *masks;

    // Where the stage for the queries from `first` on begins in `statistics` and in `masks`.
    static __device__ __forceinline__ int stage(int first) { return first / TILE % 2 * THREADS; }

    __device__ __forceinline__ void fetch(int first) const {
        if (drops(b.a.dropout)) {
            u32 word = mask_of_tile(b.a, part, first / TILE, key_tile) + threadIdx.x;
            copy_async<4>(masks + stage(first) + threadIdx.x, b.mask + word, true);
        }
        bf16 *tile = stage_of<D>(tiles, first);
        copy_pair<D>(tile, b.q, b.d_o, part.query_row(first), b.a.heads, seen.end - first);
    }

    // The statistic that this thread puts there. From `seen.end` on no query is or none is seen: q and do are zeros
    // there, so nothing comes of them.
    __device__ __forceinline__ float statistic(int first) const {
        int query = first + threadIdx.x % TILE;
        if (query >= seen.end) return threadIdx.x < TILE ? Relative<KEY_ROWS>::absent_lse() : 0.0f;
        u32 row = part.query_row(query);
        return threadIdx.x < TILE ? b.lse[row] * LOG2_E : b.delta[row];
    }
};

// The gradients of a step. `column`: the statistics of this lane's first query.
__device__ __forceinline__ void gradients_by_column(const Attention &a, const KeyRowsMask<STEP_N> &mask,
                                                    const float *column, float (&s)[STEP_N][4],
                                                    float (&ds)[STEP_N][4]) {
    float kept = scale_of_kept(a);
#pragma unroll
    for (int i = 0; i < STEP_N * 4; i++) {
        int n = i / 4, e = i % 4, at = 8 * n + e % 2;
        float factor = mask.has(n, e) ? 0.0f : kept;
        score_gradient(s[n][e], ds[n][e], a.scale * LOG2_E, factor, column[at], column[at + TILE]);
    }
}

// `Rows` holds keys and values in registers where there are enough.
template <int D, typename Rows>
__device__ __forceinline__ void backward_dkdv(const Backward<bf16> &b, const RelativeTables &tables, bf16 *dk,
                                              bf16 *dv) {
    const int ELEMENTS = TILE * D;
    const Attention &a = b.a;
    Part part = part_of_block(b);
    int first_key = tile_of_block(a) * TILE, present = part.keys - first_key;
    if (present <= 0) return;
    // Shared memory: k and v; two stages of q and do, of statistics, of masks; gradients of steps; what distances need.
    bf16 *key_tile = dynamic_shared<bf16>(), *stages = key_tile + 2 * ELEMENTS;
    float *statistics = reinterpret_cast<float *>(stages + 4 * ELEMENTS);
    u32 *masks = reinterpret_cast<u32 *>(statistics + 2 * THREADS);
    float *steps = reinterpret_cast<float *>(masks + 2 * THREADS);
    Relative<KEY_ROWS> relative(steps + floats_of_steps<KEY_ROWS>(), tables, a, part);
    steps += warp_row() * STEP_STRIDE;
    if (!drops(a.dropout)) masks[threadIdx.x] = masks[threadIdx.x + THREADS] = 0;
    Span seen = seen_by_tile(a, first_key, TILE, part.queries);
    Queries<D> queries{b, part, seen, first_key / TILE, stages, statistics, masks};
    copy_pair<D>(key_tile, b.k, b.v, part.key_row(first_key), a.heads, present);
    queries.fetch(seen.begin);
    statistics[queries.stage(seen.begin) + threadIdx.x] = queries.statistic(seen.begin);
    wait_for_copies<1>();
    __syncthreads();
    Rows key_rows(key_tile), value_rows(key_tile + ELEMENTS);

    bool busy = warp_row() < present; // short sequences leave most of a tile empty
    float key_grad[D / 8][4] = {}, value_grad[D / 8][4] = {};
    for (int first_query = seen.begin; first_query < seen.end; first_query += TILE) {
        int stage = queries.stage(first_query), next = first_query + TILE;
        wait_for_copies<0>();
        __syncthreads(); // all copies are there, and the other stage has been read
        float next_statistic = 0.0f;
        if (next < seen.end) {
            queries.fetch(next);
            next_statistic = queries.statistic(next); // on its way until the end of this tile
        }
        bf16 *query_tile = stage_of<D>(stages, first_query), *grad_tile = query_tile + ELEMENTS;
        const float *column = statistics + stage + 2 * lane_t();
        int steps_end = busy ? min(TILE, seen.end - first_query) : 0;
#pragma unroll 1
        for (int step = 0; step < steps_end; step += STEP) {
            float s[STEP_N][4], ds[STEP_N][4];
            product<D, STEP_N>(key_rows, query_tile, step, s);
            product<D, STEP_N>(value_rows, grad_tile, step, ds);
            int row = first_key + warp_row(), col = first_query + step;
            add_relative(s, relative, row, col);
            hide_distant(s, row, col, a.window);
            KeyRowsMask<STEP_N> mask(masks + stage, step);
            gradients_by_column(a, mask, column + step, s, ds);
            add_gradient(relative, steps, ds, row, col);
            accumulate<D, STEP_N>(s, grad_tile, step, value_grad);
            accumulate<D, STEP_N>(ds, query_tile, step, key_grad);
        }
        statistics[THREADS - stage + threadIdx.x] = next_statistic; // of the other stage
    }
    store_scaled<D>(key_grad, a.scale, dk, part.key_row(first_key), a.heads, present);
    store_scaled<D>(value_grad, 1.0f, dv, part.key_row(first_key), a.heads, present);
}

// ---- dq: rows are queries, columns keys ----

// What the two rows of this lane have: lse in base 2, and delta.
struct RowStatistics {
    float lse[2], delta[2];

    __device__ __forceinline__ RowStatistics(const Backward<bf16> &b, const Part &part, int first_query) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            // Absent queries, of zeros, read the last one's.
            u32 row = part.query_row(min(first_query + warp_row() + lane_g() + 8 * half, part.queries - 1));
            lse[half] = b.lse[row] * LOG2_E;
            delta[half] = b.delta[row];
        }
    }
};

// The gradients of a step of keys. `mask`: from the first of them on.
__device__ __forceinline__ void gradients_by_row(const Attention &a, const RowStatistics &rows,
                                                 const QueryRowsMask &mask, float (&s)[STEP_N][4],
                                                 float (&ds)[STEP_N][4]) {
    float kept = scale_of_kept(a);
#pragma unroll
    for (int i = 0; i < STEP_N * 4; i++) {
        int n = i / 4, e = i % 4;
        float factor = mask.has(n, e) ? 0.0f : kept;
        score_gradient(s[n][e], ds[n][e], a.scale * LOG2_E, factor, rows.lse[e / 2], rows.delta[e / 2]);
    }
}

template <int D>
__device__ __forceinline__ void backward_dq(const Backward<bf16> &b, const RelativeTables &tables, bf16 *dq) {
    const int ELEMENTS = TILE * D;
    const Attention &a = b.a;
    Part part = part_of_block(b);
    int first_query = tile_of_block(a) * TILE, present = part.queries - first_query;
    if (present <= 0) return;
    bf16 *query_tile = dynamic_shared<bf16>(), *stages = query_tile + 2 * ELEMENTS;
    Span seen = seen_by_tile(a, first_query, TILE, part.keys);
    Keys<D> keys{stages, b.k, b.v, part.key_row(0), a.heads, seen.end};
    copy_pair<D>(query_tile, b.q, b.d_o, part.query_row(first_query), a.heads, present);
    keys.fetch(seen.begin);
    float *steps = reinterpret_cast<float *>(stages + 4 * ELEMENTS);
    Relative<QUERY_ROWS> relative(steps + floats_of_steps<QUERY_ROWS>(), tables, a, part);
    steps += warp_row() * STEP_STRIDE;
    relative.begin_gradient(WARPS, warp_of_block());
    wait_for_copies<1>();
    __syncthreads();
    HeldRows<D> query_rows(query_tile), grad_rows(query_tile + ELEMENTS);

    bool busy = warp_row() < present;
    RowStatistics rows(b, part, first_query);
    float query_grad[D / 8][4] = {};
    for (int first_key = seen.begin; first_key < seen.end; first_key += TILE) {
        bf16 *key_tile = keys.next(first_key);
        int present_keys = seen.end - first_key, steps_end = busy ? min(TILE, present_keys) : 0;
        u32 words = mask_of_tile(a, part, tile_of_block(a), first_key / TILE);
        QueryRowsMask mask{busy && drops(a.dropout) ? b.mask[words + QueryRowsMask::place()] : 0};
#pragma unroll 1
        for (int step = 0; step < steps_end; step += STEP) {
            float s[STEP_N][4], ds[STEP_N][4];
            product<D, STEP_N>(query_rows, key_tile, step, s);
            product<D, STEP_N>(grad_rows, key_tile + ELEMENTS, step, ds);
            int row = first_query + warp_row(), col = first_key + step;
            add_relative(s, relative, row, col);
            if (step + STEP > present_keys) hide_absent(s, present_keys - step);
            hide_distant(s, row, col, a.window);
            gradients_by_row(a, rows, mask.from(step), s, ds);
            add_gradient(relative, steps, ds, row, col);
            accumulate<D, STEP_N>(ds, key_tile, step, query_grad);
        }
    }
    store_scaled<D>(query_grad, a.scale, dq, part.query_row(first_query), a.heads, present);
    relative.finish();
}

// DKDV_BLOCKS, or DQ_BLOCKS, fit a multiprocessor at once: what registers are to be found for.
#define KERNELS(D, ROWS, DKDV_BLOCKS, DQ_BLOCKS)                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS, DKDV_BLOCKS)                                           \
        attention_flash_backward_dkdv_##D(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *d_o,          \
                                          const u32 *queries, const u32 *keys, const float *lse,                 \
                                          const float *delta, const u32 *mask, bf16 *dk, bf16 *dv,               \
                                          Attention a RELATIVE_PARAMETERS) {                                     \
        Backward<bf16> b{q, k, v, d_o, queries, keys, lse, delta, mask, a};                                      \
        backward_dkdv<D, ROWS<D>>(b, RELATIVE_TABLES, dk, dv);                                                   \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, DQ_BLOCKS)                                             \
        attention_flash_backward_dq_##D(const bf16 *q, const bf16 *k, const bf16 *v, const bf16 *d_o,            \
                                        const u32 *queries, const u32 *keys, const float *lse,                   \
                                        const float *delta, const u32 *mask, bf16 *dq,                           \
                                        Attention a RELATIVE_PARAMETERS) {                                       \
        Backward<bf16> b{q, k, v, d_o, queries, keys, lse, delta, mask, a};                                      \
        backward_dq<D>(b, RELATIVE_TABLES, dq);                                                                  \
    }

// Three blocks of 168 registers a thread: what ptxas finds enough for Hopper, but not for Ampere.
#if __CUDA_ARCH__ >= 900
#define DKDV_BLOCKS_64 3
#else
#define DKDV_BLOCKS_64 2
#endif

#if defined(BIASED) || defined(PRODUCTS)
KERNELS(32, HeldRows, 3, 3)
KERNELS(64, HeldRows, 2, 2)
#else
KERNELS(32, HeldRows, 3, 3)
KERNELS(64, HeldRows, DKDV_BLOCKS_64, 3)
KERNELS(96, HeldRows, 2, 2)
KERNELS(128, SharedRows, 2, 2)
#endif
