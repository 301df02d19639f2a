// What the backward of both paths needs of each query first.
#include "common.cuh"

// delta = do . o, one warp a row of [rows, head_dim].
extern "C" __global__ void attention_delta(const hidden *d_o, const hidden *o, float *delta, int rows,
                                           int head_dim) {
    int warps = grid_threads() / WARP;
    for (int row = grid_thread() / WARP; row < rows; row += warps) {
        size_t at = size_t(row) * head_dim;
        float sum = 0.0f;
        for (int c = lane_of_warp(); c < head_dim; c += WARP) sum += to_float(d_o[at + c]) * to_float(o[at + c]);
        sum = warp_sum(sum);
        if (lane_of_warp() == 0) delta[row] = sum;
    }
}
