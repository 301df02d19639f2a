// Sums of everything and of columns, and the place of the greatest of each row. No sum depends on which thread
// comes first: blocks leave partial sums, which a second kernel, or the last block to be done, adds in order.
#include "common.cuh"

// Each block adds up its share of f(x_i), in f64.
template <typename F>
__device__ __forceinline__ void partial_sums(const float *x, double *partial, size_t n, size_t packs, F f) {
    double sum = 0.0;
    for_each_pack<4>(n, packs, [&](size_t i, auto width) {
        float v[width.n];
        load_floats(x + i, v);
#pragma unroll
        for (int k = 0; k < width.n; k++) sum += f(double(v[k]));
    });
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

extern "C" __global__ void sum_partials(const float *x, double *partial, size_t n, size_t packs) {
    partial_sums(x, partial, n, packs, [](double x) { return x; });
}

extern "C" __global__ void sum_squares_partials(const float *x, double *partial, size_t n, size_t packs) {
    partial_sums(x, partial, n, packs, [](double x) { return x * x; });
}

// y = factor times the sum of the partial sums: one block.
extern "C" __global__ void total(const double *partial, float *y, int count, double factor) {
    double sum = 0.0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += partial[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *y = float(sum * factor);
}

// ---- Columns ----

#define ROW_LANES 8 // rows that a block reads at once, 32 threads each
#define IN_FLIGHT 8 // rows that a warp asks for before it adds the first of them
#define STRIPS 1024 // strips of columns whose rows several blocks share; kernels/src/reduce/cuda.rs has the same number

// The sums of the columns of rows `first` to `last`, of the strip of columns of this block. A warp reads N columns per
// thread of one row, so that accesses join to whole lines; the warps take rows in turn, and their sums are added in
// order.
template <int N, typename In>
__device__ __forceinline__ void strip_sums(const In *x, float *y, int first, int last, int cols) {
    __shared__ float sums[ROW_LANES][WARP * N];
    int lane = lane_of_warp(), col = (blockIdx.x * WARP + lane) * N;
    float sum[N] = {};
    for (int row = first + warp_of_block(); col < cols && row < last; row += IN_FLIGHT * ROW_LANES) {
        // Beyond the end, the last row again: a branch around a load would wait for it.
        float v[IN_FLIGHT][N];
#pragma unroll
        for (int i = 0; i < IN_FLIGHT; i++) {
            load_floats(x + size_t(min(row + i * ROW_LANES, last - 1)) * cols + col, v[i]);
        }
#pragma unroll
        for (int i = 0; i < IN_FLIGHT; i++) {
            bool there = row + i * ROW_LANES < last;
#pragma unroll
            for (int k = 0; k < N; k++) sum[k] += there ? v[i][k] : 0.0f;
        }
    }
#pragma unroll
    for (int k = 0; k < N; k++) sums[warp_of_block()][lane * N + k] = sum[k];
    __syncthreads();
    int mine = blockIdx.x * WARP * N + threadIdx.x;
    if (threadIdx.x < WARP * N && mine < cols) {
        float all = 0.0f;
#pragma unroll
        for (int i = 0; i < ROW_LANES; i++) all += sums[i][threadIdx.x];
        y[mine] = all;
    }
}

// How many blocks of a strip have written their sums: 0 before and after each launch. Launches follow each other on the
// one stream of a GPU, so they share it.
__device__ u32 arrived[STRIPS];

// True in one of `blocks` blocks with this counter, the last to come here: it may read what all of them wrote before.
// The barrier puts the writes of a block before thread 0's fence, the fence before the count; in the last block, the
// same way back.
__device__ __forceinline__ bool last_to_arrive(u32 *counter, u32 blocks) {
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicAdd(counter, 1u) == blocks - 1;
        if (last) {
            __threadfence();
            *counter = 0;
        }
    }
    __syncthreads();
    return last;
}

// y, the sums of the columns. Block (strip, chunk) adds up a chunk of rows of a strip of columns, into y if that is all
// and else into `partial`, [chunks, cols]; the last block of the strip to be done then adds those, in the order of
// chunks, whichever block it is: the same bits each time, and no second launch.
template <int N>
__device__ __forceinline__ void all_sums(const hidden *x, float *partial, float *y, int rows, int cols, int chunk) {
    int chunks = gridDim.y, first = blockIdx.y * chunk, last = min(rows, first + chunk);
    if (chunks == 1) return strip_sums<N>(x, y, first, last, cols);
    strip_sums<N>(x, partial + size_t(blockIdx.y) * cols, first, last, cols);
    if (last_to_arrive(&arrived[blockIdx.x], chunks)) strip_sums<N>(partial, y, 0, chunks, cols);
}

// `packed`: four columns may be read at once.
extern "C" __global__ void column_sums(const hidden *x, float *partial, float *y, int rows, int cols, int chunk,
                                       int packed) {
    if (packed) {
        all_sums<4>(x, partial, y, rows, cols, chunk);
    } else {
        all_sums<1>(x, partial, y, rows, cols, chunk);
    }
}

// ---- Rows ----

// An element and its column.
struct Place {
    float value;
    u32 col;
};

// The greater, NaN counting as the greatest; of equals the first.
__device__ __forceinline__ bool beats(float a, float b) { return a > b || (isnan(a) && !isnan(b)); }
__device__ __forceinline__ Place better(Place a, Place b) {
    bool second = beats(b.value, a.value) || (!beats(a.value, b.value) && b.col < a.col);
    return second ? b : a;
}

// Where each row has its greatest element first: a warp per row, each lane with every 32nd column.
extern "C" __global__ void row_argmax(const float *x, u32 *y, int rows, int cols) {
    int row = int(grid_thread() / WARP);
    if (row >= rows) return;
    x += size_t(row) * cols;
    Place best = {NEGATIVE_INFINITY, 0xffffffffu};
    for (int col = lane_of_warp(); col < cols; col += WARP) best = better(best, {x[col], u32(col)});
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        Place other = {__shfl_xor_sync(FULL_WARP, best.value, step), __shfl_xor_sync(FULL_WARP, best.col, step)};
        best = better(best, other);
    }
    if (lane_of_warp() == 0) y[row] = best.col;
}
