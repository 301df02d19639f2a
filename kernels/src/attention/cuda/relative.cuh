// What scores have by distance, and its gradient: three structs with the same members, one for each `Relative` of
// kernels/src/attention/relative.rs, which has the equations. A source is compiled once with each of them as its
// `Relative`, so that what some kernels have costs the others nothing, not even parameters.
//
//     Relative(shared, tables, a, part)   takes what it reads often to `shared` memory; to be used behind a barrier
//     add(s, row, col)                    adds it to a score that is not scaled yet
//     absent_lse()                        the lse of a query that is absent, whose q and do are zeros: one that keeps
//                                         its probabilities finite
//     HAS_GRADIENT                        whether gradients of scores that a block makes are for its gradient, too
//     begin_gradient(groups, group)       in dq: makes sums of zeros, for so many groups of threads; before a barrier
//     finish()                            in dq: writes the sums; called by all threads
//
// Between the last two `add_gradient` of flash_backward.cu and of square.cuh, which know how gradients of scores lie in
// shared memory, gives them to it. `row` and `col` are tokens, counted in their sequence.
#pragma once
#include "attention.cuh"

// SIGN of a struct says which tokens are in the rows of a block: the key of a score comes SIGN (col - row) after its
// query.
#define QUERY_ROWS 1
#define KEY_ROWS (-1)

struct NoTables {};

template <int SIGN> struct Nothing {
    static const bool HAS_GRADIENT = false;

    __device__ __forceinline__ Nothing(float *, const NoTables &, const Attention &, const Part &) {}

    static __device__ __forceinline__ float absent_lse() { return 0.0f; }

    __device__ __forceinline__ void add(float &, int, int) const {}
    __device__ __forceinline__ void begin_gradient(int, int) {}
    __device__ __forceinline__ void finish() {}
};

// ---- A bias ----

struct BiasTables {
    const float *rows; // [2 reach + 1, heads]
    float *grad;       // what each block adds to its gradient, [blocks of a head, 2 reach + 1, heads]; for dq alone
    int reach;
};

// The bias of one head, in shared memory, over the scale.
//
// What a block adds to its gradient are sums of diagonals, on which keys are equally far after their queries. The
// threads of a group share some rows in shared memory and add different diagonals at a time, which meet only in the
// first and the last row: of these each thread has a sum of its own. Blocks of dq alone have a part in it.
template <int SIGN> struct Bias {
    static const bool HAS_GRADIENT = SIGN == QUERY_ROWS;

    float *rows;       // of the bias
    float *sums;       // behind them those of its gradient, of each group
    float *group_sums; // of this thread's group
    BiasTables tables;
    int heads, tokens, width, groups;
    float first = 0.0f, last = 0.0f;

    __device__ __forceinline__ Bias(float *shared, const BiasTables &tables, const Attention &a, const Part &part)
        : rows(shared), tables(tables), heads(a.heads), tokens(part.queries), width(2 * tables.reach + 1) {
        sums = rows + width;
        for (int i = threadIdx.x; i < width; i += blockDim.x) rows[i] = tables.rows[i * heads + blockIdx.y] / a.scale;
    }

    // A bias may be large.
    static __device__ __forceinline__ float absent_lse() { return -NEGATIVE_INFINITY; }

    __device__ __forceinline__ void add(float &s, int row, int col) const {
        int reach = tables.reach, after = SIGN * (col - row);
        s += rows[reach + max(min(after, reach), -reach)];
    }

    __device__ __forceinline__ void begin_gradient(int groups, int group) {
        this->groups = groups;
        group_sums = sums + group * width;
        for (int i = threadIdx.x; i < groups * width; i += blockDim.x) sums[i] = 0.0f;
    }

    // Adds the sum of some gradients of which the key is so far after the query.
    __device__ __forceinline__ void add_diagonal(int after, float sum) {
        if (after <= -tables.reach) {
            first += sum;
        } else if (after >= tables.reach) {
            last += sum;
        } else {
            group_sums[tables.reach + after] += sum;
        }
    }

    __device__ __forceinline__ void finish() {
        first = block_sum(first); // its barriers are also for the rows
        last = block_sum(last);
        float *to = tables.grad + size_t(blockIdx.x) * width * heads + blockIdx.y;
        for (int i = threadIdx.x; i < width; i += blockDim.x) {
            float sum = (i == 0 ? first : 0.0f) + (i == width - 1 ? last : 0.0f);
            for (int group = 0; group < groups; group++) sum += sums[group * width + i];
            to[size_t(i) * heads] = sum;
        }
    }
};

// ---- Products ----

struct ProductTables {
    const float *c, *g; // of queries and of keys, [heads, tokens, 2 reach + 1]
    float *grad;        // for dq the gradient of c, for dkdv that of g
    int tokens, reach;
};

// The products of one head and sequence: those of the tokens in the rows of a block, and those of the tokens in its
// columns. Each element belongs to one score alone: it is read where that is made, and its gradient is stored, never
// added to.
template <int SIGN> struct Products {
    static const bool HAS_GRADIENT = true;

    const float *of_rows, *of_cols; // [tokens, width], at the distance 0 of the first token
    float *grad;                    // of those of the rows, likewise
    float scale;
    int tokens, width;

    __device__ __forceinline__ Products(float *, const ProductTables &all, const Attention &a, const Part &part)
        : scale(a.scale), tokens(part.keys), width(2 * all.reach + 1) {
        size_t first = (size_t(part.head) * all.tokens + part.first_key) * width + all.reach;
        of_rows = (SIGN == QUERY_ROWS ? all.c : all.g) + first;
        of_cols = (SIGN == QUERY_ROWS ? all.g : all.c) + first;
        grad = all.grad + first;
    }

    // As may products.
    static __device__ __forceinline__ float absent_lse() { return -NEGATIVE_INFINITY; }

    // Absent tokens are taken for the last one.
    __device__ __forceinline__ void add(float &s, int row, int col) const {
        row = min(row, tokens - 1);
        col = min(col, tokens - 1);
        int after = SIGN * (col - row);
        s += of_rows[size_t(row) * width + after] + of_cols[size_t(col) * width + after];
    }

    __device__ __forceinline__ void begin_gradient(int, int) {}
    __device__ __forceinline__ void finish() {}

    // Writes the gradient of what the row has, from that of a score, if both tokens are there.
    __device__ __forceinline__ void write(int row, int col, float ds) const {
        float gradient = scale * ds;
        if (row < tokens && col < tokens) grad[size_t(row) * width + SIGN * (col - row)] = gradient;
    }
};

// ---- The one that kernels are compiled with ----

// With it the last parameters of a kernel, and these as tables.
#if defined(BIASED)
template <int SIGN> using Relative = Bias<SIGN>;
using RelativeTables = BiasTables;
#define RELATIVE_PARAMETERS , const float *bias, float *dbias, int reach
#define RELATIVE_TABLES BiasTables{bias, dbias, reach}
#elif defined(PRODUCTS)
template <int SIGN> using Relative = Products<SIGN>;
using RelativeTables = ProductTables;
#define RELATIVE_PARAMETERS , const float *c, const float *g, float *grad, int tokens, int reach
#define RELATIVE_TABLES ProductTables{c, g, grad, tokens, reach}
#else
template <int SIGN> using Relative = Nothing<SIGN>;
using RelativeTables = NoTables;
#define RELATIVE_PARAMETERS
#define RELATIVE_TABLES NoTables{}
#endif
