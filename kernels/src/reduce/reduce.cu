// Sums of everything and of columns, and the place of the greatest of each row. No sum depends on which thread
// comes first: blocks leave partial sums, which a second kernel adds in order.
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

// The sums of the columns of a chunk of rows: y[chunk, cols]. A warp reads N columns per thread of one row, so that
// accesses join to whole lines; the warps take rows in turn, and their sums are added in order.
template <int N>
__device__ __forceinline__ void chunk_sums(const hidden *x, float *y, int rows, int cols, int chunk) {
    __shared__ float partial[ROW_LANES][WARP * 4];
    int lane = lane_of_warp(), col = (blockIdx.x * WARP + lane) * N;
    int first = blockIdx.y * chunk, last = min(rows, first + chunk);
    float sum[N] = {};
    if (col < cols) {
#pragma unroll 4
        for (int row = first + warp_of_block(); row < last; row += ROW_LANES) {
            float v[N];
            load_floats(x + size_t(row) * cols + col, v);
#pragma unroll
            for (int k = 0; k < N; k++) sum[k] += v[k];
        }
    }
#pragma unroll
    for (int k = 0; k < N; k++) partial[warp_of_block()][lane * N + k] = sum[k];
    __syncthreads();
    int mine = blockIdx.x * WARP * N + threadIdx.x;
    if (threadIdx.x < WARP * N && mine < cols) {
        float all = 0.0f;
#pragma unroll
        for (int i = 0; i < ROW_LANES; i++) all += partial[i][threadIdx.x];
        y[size_t(blockIdx.y) * cols + mine] = all;
    }
}

// `packed`: four columns may be read at once.
extern "C" __global__ void column_sums(const hidden *x, float *y, int rows, int cols, int chunk, int packed) {
    if (packed) {
        chunk_sums<4>(x, y, rows, cols, chunk);
    } else {
        chunk_sums<1>(x, y, rows, cols, chunk);
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
