// The second half of a product whose K was cut into parts.
//
// A weight gradient of 384 x 384 has 9 tiles of 128 x 128, for 132 multiprocessors, and a K of thousands. So each
// part of K becomes a tile of its own: blocks write sums of their part to [splits, M, N] in f32, and this kernel
// adds them in the order of the parts, whichever came first: the same bits in every run, which atomic additions
// would not give. It costs 4 bytes written and read again for each part of each element; an estimate: with parts of
// 1024 of K and tiles of 128 x 128 that is 128 KiB moved against the 512 KiB of operands of the tile, and those come
// from the L2 cache just as likely.
#include "product.cuh"

#define RUN 4

// Adds N neighbours of all parts, `len` elements apart, to `sum`. Several parts are on their way at once, for waiting
// takes longer than all else.
template <int N>
__device__ __forceinline__ void add_parts(const float *from, size_t len, int splits, float (&sum)[N]) {
#pragma unroll 4
    for (int split = 0; split < splits; split++, from += len) {
        float part[N];
        load_floats(from, part);
#pragma unroll
        for (int j = 0; j < N; j++) sum[j] += part[j];
    }
}

template <typename Out> __device__ __forceinline__ void add_splits(Product<hidden, Out> p, int splits) {
    int runs = divide_up(p.n, RUN);
    const float *partial = p.partial;
    size_t len = size_t(p.m) * p.n;
    p.partial = nullptr; // from here on, sums are whole
    for (size_t i = grid_thread(); i < size_t(p.m) * runs; i += grid_threads()) {
        int row = i / runs, col = i % runs * RUN;
        const float *from = partial + size_t(row) * p.n + col;
        float sum[RUN] = {};
        if (p.wide && col + RUN <= p.n) {
            add_parts(from, len, splits, sum);
        } else {
#pragma unroll
            for (int j = 0; j < RUN; j++) {
                float one[1] = {};
                if (col + j < p.n) add_parts(from + j, len, splits, one);
                sum[j] = one[0];
            }
        }
        put_run(p, 0, 0, row, col, sum);
    }
}

extern "C" __global__ void matmul_add_splits(Product<hidden, hidden> p, int splits) { add_splits(p, splits); }

#ifdef HIDDEN_BF16
extern "C" __global__ void matmul_add_splits_f32(Product<hidden, float> p, int splits) { add_splits(p, splits); }
#endif
