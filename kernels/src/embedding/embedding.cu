// Rows of a table for tokens, and the other way: the rows of tokens added up by id. f32; `packed` says that four
// neighbouring columns may move at once, else they move one by one.
#include "common.cuh"

#define PACK 4

// y_t = table[ids_t], plus x_t unless x is null. A warp takes a token (x) and 128 columns (y).
extern "C" __global__ void embedding_forward(const float *x, const float *table, const u32 *ids, float *y, int tokens,
                                             int cols, int packed) {
    int token = grid_thread() / WARP, col = (blockIdx.y * WARP + lane_of_warp()) * PACK;
    if (token >= tokens) return;
    size_t start = size_t(token) * cols;
    float to[PACK] = {}, v[PACK];
    if (x) load_columns(x + start, col, cols, packed, to);
    load_columns(table + size_t(ids[token]) * cols, col, cols, packed, v);
#pragma unroll
    for (int k = 0; k < PACK; k++) to[k] = x ? to[k] + v[k] : v[k];
    store_columns(to, y + start, col, cols, packed);
}

// ---- The gradient of the table ----
//
// Tokens are grouped by id, and an id of many tokens (token type 0 has all of the batch) is cut in pieces, so that the
// longest one does not hold up the rest. A warp adds up the tokens of a piece in their order; the sum is the row of an
// id of one piece, and otherwise waits in `partial` for those of the other pieces, which a second kernel adds in
// theirs: no atomics, the same bits every time.

// Rows that are asked for before the first of them is added.
#define AT_ONCE 4

// Adds N neighbouring columns of rows, which begin at row(0), row(1), ... row(count - 1), in this order.
template <int N, typename Row> __device__ __forceinline__ void add_rows(int count, Row row, float *sum) {
#pragma unroll 1
    for (int i = 0; i < count; i += AT_ONCE) {
        const float *rows[AT_ONCE];
        float v[AT_ONCE][N] = {};
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) rows[k] = row(min(i + k, count - 1));
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            if (i + k < count) load_floats(rows[k], v[k]);
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
#pragma unroll
            for (int n = 0; n < N; n++) sum[n] += v[k][n];
        }
    }
}

// The columns that this lane of block (x, y) takes, and whether they are all there and may move at once.
struct Columns {
    int first, cols, packed;

    __device__ __forceinline__ Columns(int cols, int packed)
        : first((blockIdx.y * WARP + lane_of_warp()) * PACK), cols(cols), packed(packed) {}

    // Their sum over the rows number(0) .. number(count - 1) of x.
    template <typename Number>
    __device__ __forceinline__ void sum(const float *x, int count, Number number, float (&sum)[PACK]) const {
        auto from = [=](int col) {
            return [=](int i) { return x + size_t(number(i)) * cols + col; };
        };
        if (packed && first < cols) return add_rows<PACK>(count, from(first), sum);
#pragma unroll
        for (int k = 0; k < PACK; k++) {
            if (first + k < cols) add_rows<1>(count, from(first + k), sum + k);
        }
    }
};

// The sums of the tokens order[starts[i]] .. order[starts[i + 1] - 1], for each piece i: to row to[i] of the table, or,
// if that is not below `rows`, to row to[i] - rows of `partial`. A warp takes a piece (x) and 128 columns (y). The
// bounds grant the registers for AT_ONCE rows; the compiler alone takes fewer, and waits between them.
extern "C" __global__ void __launch_bounds__(256, 6)
    embedding_scatter(const float *dy, const u32 *to, const u32 *starts, const u32 *order, float *table,
                      float *partial, u32 rows, int pieces, int cols, int packed) {
    int piece = grid_thread() / WARP;
    if (piece >= pieces) return;
    Columns columns(cols, packed);
    u32 start = starts[piece], count = starts[piece + 1] - start, row = to[piece];
    float sum[PACK] = {};
    columns.sum(dy, count, [=](int i) { return order[start + i]; }, sum);
    float *sums = row < rows ? table + size_t(row) * cols : partial + size_t(row - rows) * cols;
    store_columns(sum, sums, columns.first, cols, packed);
}

// Row ids[i] of the table = the sum of the rows starts[i] .. starts[i + 1] - 1 of `partial`. A block takes an id (x)
// and 128 columns (y); its warps share out the rows, one stretch each, and one adds their sums in their order.
extern "C" __global__ void __launch_bounds__(1024) embedding_add_pieces(const float *partial, const u32 *ids,
                                                                        const u32 *starts, float *table, int cols,
                                                                        int packed) {
    __shared__ Pack<float, PACK> sums[WARP][WARP];
    Columns columns(cols, packed);
    int lane = lane_of_warp(), warp = warp_of_block(), warps = blockDim.x / WARP;
    int start = starts[blockIdx.x], count = starts[blockIdx.x + 1] - start, share = (count + warps - 1) / warps;
    int first = min(warp * share, count), own = min(share, count - first);
    float sum[PACK] = {};
    columns.sum(partial, own, [=](int i) { return start + first + i; }, sum);
    store_floats(sum, sums[warp][lane].at);
    __syncthreads();
    if (warp != 0) return;
    for (int other = 1; other < warps; other++) {
        float v[PACK];
        load_floats(sums[other][lane].at, v);
#pragma unroll
        for (int k = 0; k < PACK; k++) sum[k] += v[k];
    }
    store_columns(sum, table + size_t(ids[blockIdx.x]) * cols, columns.first, cols, packed);
}
