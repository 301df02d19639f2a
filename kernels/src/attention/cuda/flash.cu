// Attention forward on tensor cores, bf16. kernels/src/attention/mod.rs has the equations, fragments.cuh the
// layout, mask.cuh dropout.
//
// The queries of a warp, its scores against a tile of keys, and its part of o stay in registers; keys and values
// pass through shared memory in two stages, one filled by cp.async while the other is read. Scores are kept as
// they are; scale log2(e) is folded into the one multiply-add before 2^x. The scale must be positive.
//
// What bounds the forward, for a sequence of S tokens and one head, in bf16:
//
//     operations      4 S^2 D       two products; an H100 does 4096 in a clock on each multiprocessor
//     exponentials    S^2           16 in a clock: as long as the products at D = 64, longer below
//     device memory   8 S D bytes   q, k, v read and o written once: S / 2 operations a byte, 300 keep an H100 busy
//     L2 cache        4 S D bytes   for k and v again for each tile of queries: 64 operations a byte
//
// So memory bounds sequences below some 600 tokens, exponentials those of small heads above. The backward does
// 14 S^2 D operations for 2 S^2 exponentials. To draw the dropout mask takes about 12 instructions for each score, as
// many as all else that is not a product; the backward reads it instead.
//
// Products by distance are 8 bytes of device memory for each score, and no other score has them: at the 13 bytes that
// an H100 moves in a clock for each multiprocessor, 0.6 clocks, ten times as long as the two products at D = 64. The
// backward takes 24 bytes: both kernels read 8 and write 4. So memory bounds them, whatever the length. Lanes read
// where their fragments are, 8 neighbours of a token's row in one or two accesses: what else comes with them is in the
// L1 cache for the next ones, so a pass through shared memory would save none of the bytes.
#include "mask.cuh"

// From scores to 2^(score scale - maximum scale); o shrinks by what the maximum grew. `scale` has the log2(e).
// The sums of a row stay apart in its four lanes to the end. fmaxf passes NaN by, but the sum does not.
template <int D, int N>
__device__ __forceinline__ void softmax_step(float (&s)[N][4], RowSoftmax (&softmax)[2], float (&o)[D / 8][4],
                                             float scale) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        RowSoftmax &row = softmax[half];
        float before = row.max;
#pragma unroll
        for (int n = 0; n < N; n++) row.max = fmaxf(row.max, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
        row.max = fmaxf(row.max, __shfl_xor_sync(FULL_WARP, row.max, 1));
        row.max = fmaxf(row.max, __shfl_xor_sync(FULL_WARP, row.max, 2));
        // The difference first: the compiler makes one multiply-add of `before * scale - base`, which is not 0, nor
        // shrink 1, where the maximum stays (FlashAttention-2, softmax.h, does the same).
        float base = row.base() * scale, shrink = fast_exp2((before - row.base()) * scale);
        row.sum *= shrink;
#pragma unroll
        for (int i = 0; i < 2 * N; i++) {
            float &x = s[i / 2][2 * half + i % 2];
            x = fast_exp2(x * scale - base);
            row.sum += x;
        }
#pragma unroll
        for (int i = 0; i < D / 4; i++) o[i / 2][2 * half + i % 2] *= shrink;
    }
}

// What is kept is not scaled here but once at the end.
template <int N> __device__ __forceinline__ void drop(float (&s)[N][4], const QueryRowsMask &mask) {
#pragma unroll
    for (int i = 0; i < 4 * N; i++) {
        if (mask.has(i / 4, i % 4)) s[i / 4][i % 4] = 0.0f;
    }
}

// Divides by the sums, and writes.
template <int D>
__device__ __forceinline__ void finish(const Forward<bf16> &f, const Part &part, int first_query,
                                       const RowSoftmax (&softmax)[2], const float (&result)[D / 8][4]) {
    float inverse[2], kept = scale_of_kept(f.a);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = softmax[half].sum;
        sum += __shfl_xor_sync(FULL_WARP, sum, 1);
        sum += __shfl_xor_sync(FULL_WARP, sum, 2);
        inverse[half] = kept / sum;
        int query = first_query + warp_row() + lane_g() + 8 * half;
        if (query < part.queries && lane_t() == 0) {
            f.lse[part.query_row(query)] = softmax[half].base() * f.a.scale + LN_2 * log2f(sum);
        }
    }
    u32 first_row = part.query_row(first_query);
    store_rows<D>(result, inverse, f.o, first_row, part.heads, part.queries - first_query);
}

template <int D> __device__ __forceinline__ void forward(const Forward<bf16> &f, const RelativeTables &tables) {
    const int ELEMENTS = TILE * D, N = TILE / 8;
    const Attention &a = f.a;
    Part part = part_of_block(f);
    int first_query = tile_of_block(a) * TILE, present = part.queries - first_query;
    if (present <= 0) return;
    bf16 *query_tile = dynamic_shared<bf16>(), *stages = query_tile + ELEMENTS;
    Span seen = seen_by_tile(a, first_query, TILE, part.keys);
    Keys<D> keys{stages, f.k, f.v, part.key_row(0), a.heads, seen.end};
    Relative<QUERY_ROWS> relative(reinterpret_cast<float *>(stages + 4 * ELEMENTS), tables, a, part);
    copy_tile<D>(query_tile, f.q, part.query_row(first_query), a.heads, present);
    commit_copies();
    keys.fetch(seen.begin);
    wait_for_copies<1>();
    __syncthreads();
    HeldRows<D> rows(query_tile);

    int query = first_query + warp_row() + lane_g();
    const u32 mask_rows[2] = {part.query_row(query), part.query_row(query + 8)};
    bool busy = warp_row() < present; // short sequences leave most of a tile empty
    RowSoftmax softmax[2];
    float result[D / 8][4] = {};
    MaskTile mask_tile(a, part, tile_of_block(a), seen.begin / TILE);
    for (int first_key = seen.begin; first_key < seen.end; first_key += TILE) {
        bf16 *key_tile = keys.next(first_key);
        if (!busy) continue;
        float s[N][4];
        product<D, N>(rows, key_tile, 0, s);
        QueryRowsMask mask = {};
        if (drops(a.dropout)) mask = draw_mask(a.dropout, mask_rows, first_key);
        add_relative(s, relative, first_query + warp_row(), first_key);
        if (first_key + TILE > seen.end) hide_absent(s, seen.end - first_key);
        hide_distant(s, first_query + warp_row(), first_key, a.window);
        softmax_step<D, N>(s, softmax, result, a.scale * LOG2_E);
        if (drops(a.dropout)) {
            if (f.mask) f.mask[mask_tile.words + mask.place()] = mask.word;
            mask_tile.advance();
            drop(s, mask);
        }
        accumulate<D, N>(s, key_tile + ELEMENTS, 0, result);
    }
    finish<D>(f, part, first_query, softmax, result);
}

// BLOCKS fit a multiprocessor at once: what registers are to be found for.
#define KERNEL(D, BLOCKS)                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                \
        attention_flash_forward_##D(const bf16 *q, const bf16 *k, const bf16 *v, const u32 *queries,             \
                                    const u32 *keys, bf16 *o, float *lse, u32 *mask,                             \
                                    Attention a RELATIVE_PARAMETERS) {                                           \
        forward<D>(Forward<bf16>{q, k, v, queries, keys, o, lse, mask, a}, RELATIVE_TABLES);                     \
    }

// With a bias or products only for the heads of the models that have them. The many loads of products, all on their way
// at once, take the registers of a block.
#if defined(BIASED)
KERNEL(32, 4)
KERNEL(64, 3)
#elif defined(PRODUCTS)
KERNEL(32, 2)
KERNEL(64, 2)
#else
KERNEL(32, 5)
KERNEL(64, 3)
KERNEL(96, 3)
KERNEL(128, 2)
#endif
