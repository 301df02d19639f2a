// Attention in f32 arithmetic, any head up to 256 wide: the path of f32, and of bf16 with unusual heads.
// kernels/src/attention/mod.rs has the equations, square.cuh the layout.
#include "square.cuh"

// The dropout factors of R consecutive keys, of which the first is a multiple of R.
template <int R>
__device__ __forceinline__ void factors(const Dropout &d, u32 row, u32 key, float (&to)[R]) {
    if (R == 4) {
        float4 four = dropout_mask(d, key / 4, row);
        float all[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int i = 0; i < R; i++) to[i] = all[i];
    } else {
#pragma unroll
        for (int i = 0; i < R; i++) to[i] = dropout_factor(d, row, key + i);
    }
}

// The sixteen threads of a row are half a warp.
__device__ __forceinline__ float row_max(float x) {
#pragma unroll
    for (int step = SIDE / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(FULL_WARP, x, step));
    return x;
}

__device__ __forceinline__ float row_sum(float x) {
#pragma unroll
    for (int step = SIDE / 2; step > 0; step /= 2) x += __shfl_xor_sync(FULL_WARP, x, step);
    return x;
}

// Whether any row of this warp exists: short sequences leave most of a tile empty.
template <int R> __device__ __forceinline__ bool warp_is_busy(int present) {
    return warp_of_block() * (WARP / SIDE) * R < present;
}

// From scores to exp(score - maximum), adding them to the sum of this thread alone. What was accumulated under
// the earlier maximum shrinks. fmaxf passes NaN by, but the sum does not.
template <int R, int D>
__device__ __forceinline__ void softmax_step(float (&s)[R], RowSoftmax &softmax, float (&result)[D / SIDE]) {
    float before = softmax.max;
#pragma unroll
    for (int j = 0; j < R; j++) softmax.max = fmaxf(softmax.max, s[j]);
    softmax.max = row_max(softmax.max);
    float base = softmax.base(), shrink = expf(before - base);
    softmax.sum *= shrink;
#pragma unroll
    for (int j = 0; j < R; j++) {
        s[j] = expf(s[j] - base);
        softmax.sum += s[j];
    }
#pragma unroll
    for (int c = 0; c < D / SIDE; c++) result[c] *= shrink;
}

// The softmax of the rows of a thread, and what is theirs of o.
template <int R, int D> struct Output {
    RowSoftmax softmax[R];
    float result[R][D / SIDE] = {};
};

// From the scores of queries from `query` on and keys from `key` on to exponentials after dropout.
template <int R, int D>
__device__ __forceinline__ void weights_of_scores(const Attention &a, const Part &part, int query, int key,
                                                  float (&s)[R][R], Output<R, D> &out) {
#pragma unroll
    for (int i = 0; i < R; i++) {
#pragma unroll
        for (int j = 0; j < R; j++) {
            s[i][j] = sees(a, part, query + i, key + j) ? a.scale * s[i][j] : NEGATIVE_INFINITY;
        }
        softmax_step<R, D>(s[i], out.softmax[i], out.result[i]);
        if (!drops(a.dropout)) continue;
        float factor[R];
        factors<R>(a.dropout, part.query_row(query + i), key, factor);
#pragma unroll
        for (int j = 0; j < R; j++) s[i][j] *= factor[j];
    }
}

// Divides by the sums, and writes.
template <int R, int D>
__device__ __forceinline__ void finish(const Forward<hidden> &f, const Part &part, int first_query, int present,
                                       const Output<R, D> &out) {
    float inverse[R];
#pragma unroll
    for (int i = 0; i < R; i++) {
        float sum = row_sum(out.softmax[i].sum);
        int row = thread_y() * R + i;
        inverse[i] = 1.0f / sum;
        if (row < present && thread_x() == 0) {
            f.lse[part.query_row(first_query + row)] = out.softmax[i].base() + logf(sum);
        }
    }
    store_tile<R, D>(out.result, inverse, f.o, part.query_row(first_query), present, f.a);
}

template <int D, int TILE>
__device__ __forceinline__ void forward(const Forward<hidden> &f, const RelativeTables &tables) {
    const int R = TILE / SIDE;
    const Attention &a = f.a;
    Part part = part_of_block(f);
    int first_query = tile_of_block(a) * TILE, present = part.queries - first_query;
    if (present <= 0) return;
    float *rows = dynamic_shared<float>(), *cols = rows + TILE * STRIDE(D), *p = cols + TILE * STRIDE(D);
    bool busy = warp_is_busy<R>(present);
    Relative<QUERY_ROWS> relative(p + TILE * P_STRIDE(TILE), tables, a, part);
    Output<R, D> out;
    float s[R][R];
    Span seen = seen_by_tile(a, first_query, TILE, part.keys);
    load_tile<TILE, D>(rows, f.q, part.query_row(first_query), present, a);
    for (int first_key = seen.begin; first_key < seen.end; first_key += TILE) {
        u32 key_row = part.key_row(first_key);
        __syncthreads(); // the values before have been read
        load_tile<TILE, D>(cols, f.k, key_row, seen.end - first_key, a);
        __syncthreads();
        if (busy) {
            int query = first_query + thread_y() * R, key = first_key + thread_x() * R;
            dot<R, D>(rows, cols, s);
            add_relative(s, relative, query, key);
            weights_of_scores(a, part, query, key, s, out);
        }
        __syncthreads(); // the keys have been read
        load_tile<TILE, D>(cols, f.v, key_row, seen.end - first_key, a);
        __syncthreads();
        if (busy) accumulate<R, D>(s, p, cols, out.result);
    }
    finish(f, part, first_query, present, out);
}

// From scores and the products do v^T to the probabilities after dropout and the gradients of the scores.
__device__ __forceinline__ void score_gradient(float &s, float &dp, float scale, float factor, float lse,
                                               float delta) {
    float p = expf(scale * s - lse);
    s = p * factor;
    dp = p * (factor * dp - delta);
}

// The dropout factors, 1 where nothing is dropped.
template <int R>
__device__ __forceinline__ void factors_or_ones(const Dropout &d, u32 row, u32 key, float (&to)[R]) {
#pragma unroll
    for (int i = 0; i < R; i++) to[i] = 1.0f;
    if (drops(d)) factors<R>(d, row, key, to);
}

// The gradients of keys from `key` on, in rows, and queries from `query` on, in columns.
template <int R>
__device__ __forceinline__ void gradients_by_column(const Backward<hidden> &b, const Part &part, int key, int query,
                                                    float (&s)[R][R], float (&ds)[R][R]) {
#pragma unroll
    for (int j = 0; j < R; j++) {
        bool inside = query + j < part.queries;
        u32 row = part.query_row(inside ? query + j : 0);
        // An infinite lse makes the probabilities of absent queries 0.
        float lse = inside ? b.lse[row] : -NEGATIVE_INFINITY, delta = inside ? b.delta[row] : 0.0f;
        float factor[R];
        factors_or_ones<R>(b.a.dropout, row, key, factor);
#pragma unroll
        for (int i = 0; i < R; i++) {
            score_gradient(s[i][j], ds[i][j], b.a.scale, factor[i], lse, delta);
            if (!sees(b.a, part, query + j, key + i)) s[i][j] = ds[i][j] = 0.0f;
        }
    }
}

// dk and dv. Rows are keys, columns queries: the transpose of the forward, so that both results are p cols.
template <int D, int TILE>
__device__ __forceinline__ void backward_dkdv(const Backward<hidden> &b, const RelativeTables &tables, hidden *dk,
                                              hidden *dv) {
    const int R = TILE / SIDE, ELEMENTS = TILE * STRIDE(D);
    Part part = part_of_block(b);
    int first_key = tile_of_block(b.a) * TILE, present = part.keys - first_key;
    if (present <= 0) return;
    float *key_tile = dynamic_shared<float>(), *query_tile = key_tile + 2 * ELEMENTS;
    float *grad_tile = query_tile + ELEMENTS, *p = grad_tile + ELEMENTS;
    Relative<KEY_ROWS> relative(p + TILE * P_STRIDE(TILE), tables, b.a, part);
    bool busy = warp_is_busy<R>(present);
    u32 key_row = part.key_row(first_key);
    float key_grad[R][D / SIDE] = {}, value_grad[R][D / SIDE] = {};
    Span seen = seen_by_tile(b.a, first_key, TILE, part.queries);
    load_pair<TILE, D>(key_tile, b.k, b.v, key_row, present, b.a);
    for (int first_query = seen.begin; first_query < seen.end; first_query += TILE) {
        __syncthreads(); // the queries before have been read
        load_pair<TILE, D>(query_tile, b.q, b.d_o, part.query_row(first_query), seen.end - first_query, b.a);
        __syncthreads();
        if (!busy) continue;
        float s[R][R], ds[R][R];
        int key = first_key + thread_y() * R, query = first_query + thread_x() * R;
        dot_pairs<R, D>(key_tile, query_tile, s, ds);
        add_relative(s, relative, key, query);
        gradients_by_column<R>(b, part, key, query, s, ds);
        accumulate<R, D>(s, p, grad_tile, value_grad);
        accumulate<R, D>(ds, p, query_tile, key_grad);
        add_gradient<R>(relative, p, busy, first_key, first_query);
    }
    store_scaled<R, D>(key_grad, b.a.scale, dk, key_row, present, b.a);
    store_scaled<R, D>(value_grad, 1.0f, dv, key_row, present, b.a);
}

// The gradients of queries from `query` on, in rows, and keys from `key` on, in columns. Absent queries are taken for
// the last one, and not written.
template <int R>
__device__ __forceinline__ void gradients_by_row(const Backward<hidden> &b, const Part &part, int query, int key,
                                                 float (&s)[R][R], float (&ds)[R][R]) {
#pragma unroll
    for (int i = 0; i < R; i++) {
        u32 row = part.query_row(min(query + i, part.queries - 1));
        float lse = b.lse[row], delta = b.delta[row];
        float factor[R];
        factors_or_ones<R>(b.a.dropout, row, key, factor);
#pragma unroll
        for (int j = 0; j < R; j++) {
            score_gradient(s[i][j], ds[i][j], b.a.scale, factor[j], lse, delta);
            if (!sees(b.a, part, query + i, key + j)) ds[i][j] = 0.0f;
        }
    }
}

// dq. Rows are queries, columns keys, as in the forward.
template <int D, int TILE>
__device__ __forceinline__ void backward_dq(const Backward<hidden> &b, const RelativeTables &tables, hidden *dq) {
    const int R = TILE / SIDE, ELEMENTS = TILE * STRIDE(D);
    Part part = part_of_block(b);
    int first_query = tile_of_block(b.a) * TILE, present = part.queries - first_query;
    if (present <= 0) return;
    float *query_tile = dynamic_shared<float>(), *key_tile = query_tile + 2 * ELEMENTS, *p = key_tile + 2 * ELEMENTS;
    Relative<QUERY_ROWS> relative(p + TILE * P_STRIDE(TILE), tables, b.a, part);
    relative.begin_gradient(1, 0);
    bool busy = warp_is_busy<R>(present);
    u32 query_row = part.query_row(first_query);
    float query_grad[R][D / SIDE] = {};
    Span seen = seen_by_tile(b.a, first_query, TILE, part.keys);
    load_pair<TILE, D>(query_tile, b.q, b.d_o, query_row, present, b.a);
    for (int first_key = seen.begin; first_key < seen.end; first_key += TILE) {
        __syncthreads(); // the keys before have been read
        load_pair<TILE, D>(key_tile, b.k, b.v, part.key_row(first_key), seen.end - first_key, b.a);
        __syncthreads();
        if (busy) {
            int query = first_query + thread_y() * R, key = first_key + thread_x() * R;
            float s[R][R], ds[R][R];
            dot_pairs<R, D>(query_tile, key_tile, s, ds);
            add_relative(s, relative, query, key);
            gradients_by_row<R>(b, part, query, key, s, ds);
            accumulate<R, D>(ds, p, key_tile, query_grad);
        }
        add_gradient<R>(relative, p, busy, first_query, first_key);
    }
    store_scaled<R, D>(query_grad, b.a.scale, dq, query_row, present, b.a);
    relative.finish();
}

// Kernels for heads up to D wide, with tiles that fit 99 KiB of shared memory, what every GPU since Ampere has;
// plan.rs knows the same sizes. BLOCKS fit a multiprocessor at once: what registers are to be found for; those of
// products have their 8 bytes of each score on their way in the second block's.
#if defined(BIASED) || defined(PRODUCTS)
#define BLOCKS 1
#else
#define BLOCKS 2
#endif
#define KERNELS(D, FORWARD_TILE, BACKWARD_TILE)                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                \
        attention_plain_forward_##D(const hidden *q, const hidden *k, const hidden *v, const u32 *queries,       \
                                    const u32 *keys, hidden *o, float *lse, Attention a RELATIVE_PARAMETERS) {   \
        forward<D, FORWARD_TILE>(Forward<hidden>{q, k, v, queries, keys, o, lse, nullptr, a}, RELATIVE_TABLES);  \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                \
        attention_plain_backward_dkdv_##D(const hidden *q, const hidden *k, const hidden *v, const hidden *d_o,  \
                                          const u32 *queries, const u32 *keys, const float *lse,                 \
                                          const float *delta, hidden *dk, hidden *dv,                            \
                                          Attention a RELATIVE_PARAMETERS) {                                     \
        Backward<hidden> b{q, k, v, d_o, queries, keys, lse, delta, nullptr, a};                                 \
        backward_dkdv<D, BACKWARD_TILE>(b, RELATIVE_TABLES, dk, dv);                                             \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                \
        attention_plain_backward_dq_##D(const hidden *q, const hidden *k, const hidden *v, const hidden *d_o,    \
                                        const u32 *queries, const u32 *keys, const float *lse,                   \
                                        const float *delta, hidden *dq, Attention a RELATIVE_PARAMETERS) {       \
        Backward<hidden> b{q, k, v, d_o, queries, keys, lse, delta, nullptr, a};                                 \
        backward_dq<D, BACKWARD_TILE>(b, RELATIVE_TABLES, dq);                                                   \
    }

KERNELS(32, 64, 64)
KERNELS(64, 64, 64)
KERNELS(128, 64, 32)
KERNELS(256, 32, 16)
