// Rows of a table for tokens, and the other way: the rows of tokens added up by id. f32; `packed` says that four
// neighbouring columns may move at once, else they move one by one.
#include "common.cuh"

#define PACK 4

// y_t = table[ids_t]: a warp a token.
extern "C" __global__ void embedding_forward(const float *table, const u32 *ids, float *y, int tokens, int cols,
                                             int packed) {
    int token = grid_thread() / WARP;
    if (token >= tokens) return;
    const float *row = table + size_t(ids[token]) * cols;
    for (int col = lane_of_warp() * PACK; col < cols; col += WARP * PACK) {
        float v[PACK];
        load_columns(row, col, cols, packed, v);
        store_columns(v, y + size_t(token) * cols, col, cols, packed);
    }
}

// Row ids[i] of the table = the sum of dy over the tokens order[starts[i]] .. order[starts[i + 1] - 1].
//
// A block takes an id (x) and 128 columns (y). Its warps share out the tokens, one stretch each: an id of one token
// needs one warp, token type 0 has all tokens of the batch. Every warp adds its tokens in their order, then one
// adds the sums of the warps in theirs: no atomics, the same bits every time.
extern "C" __global__ void embedding_scatter(const float *dy, const u32 *ids, const u32 *starts, const u32 *order,
                                             float *table, int cols, int packed) {
    __shared__ Pack<float, PACK> sums[WARP][WARP];
    int lane = lane_of_warp(), warp = warp_of_block(), warps = blockDim.x / WARP;
    int col = (blockIdx.y * WARP + lane) * PACK;
    int start = starts[blockIdx.x], count = starts[blockIdx.x + 1] - start, share = (count + warps - 1) / warps;
    float sum[PACK] = {}, v[PACK];
#pragma unroll 4
    for (int i = warp * share; i < (warp + 1) * share && i < count; i++) {
        load_columns(dy + size_t(order[start + i]) * cols, col, cols, packed, v);
#pragma unroll
        for (int k = 0; k < PACK; k++) sum[k] += v[k];
    }
    store_floats(sum, sums[warp][lane].at);
    __syncthreads();
    if (warp != 0) return;
    for (int other = 1; other < warps; other++) {
        load_floats(sums[other][lane].at, v);
#pragma unroll
        for (int k = 0; k < PACK; k++) sum[k] += v[k];
    }
    store_columns(sum, table + size_t(ids[blockIdx.x]) * cols, col, cols, packed);
}
