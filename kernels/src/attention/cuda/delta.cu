// What the backward of both paths needs of each query first.
#include "common.cuh"

// delta = do . o of the rows of [rows, head_dim], the heads of all tokens.
//
// `lanes` neighbours take a row, a power of two, so that heads narrower than a warp's 32 accesses of 16 bytes leave
// none idle: 8 lanes for 64 columns of bf16, and a warp reads four rows at once. Rows that do not move by 16 bytes (not
// `packed`) come element by element, to the same lanes. The bounds have all threads of the grid on the GPU at once.
extern "C" __global__ void __launch_bounds__(256, 8)
    attention_delta(const hidden *d_o, const hidden *o, float *delta, int rows, int head_dim, int lanes, int packed) {
    constexpr int N = Wide<hidden>::N;
    int of_warp = WARP / lanes, lane = lane_of_warp() % lanes, step = grid_threads() / WARP * of_warp;
    // All lanes of a warp go on as long as one has a row: they meet in the sum.
    for (int first = grid_thread() / WARP * of_warp; first < rows; first += step) {
        int row = first + lane_of_warp() / lanes;
        float sum = 0.0f, a[N], b[N];
        for (int col = lane * N; row < rows && col < head_dim; col += lanes * N) {
            load_columns(d_o + size_t(row) * head_dim, col, head_dim, packed, a);
            load_columns(o + size_t(row) * head_dim, col, head_dim, packed, b);
#pragma unroll
            for (int i = 0; i < N; i++) sum += a[i] * b[i];
        }
        for (int other = lanes / 2; other > 0; other /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, other);
        if (lane == 0 && row < rows) delta[row] = sum;
    }
}
