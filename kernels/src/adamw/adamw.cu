// AdamW of all parameters of a step in one launch, and the norm of all their gradients, f32.
//
// A model has hundreds of tensors, most of them short: a launch for each would cost more than the arithmetic. So a
// table on the GPU lists the tensors, and a second one cuts them into pieces of PIECE elements, a block each, which
// keeps the blocks equal however the lengths differ.
#include "common.cuh"

// Elements of a piece; kernels/src/adamw/cuda.rs has the same number, and the same structs in words of 32 bits.
#define PIECE 16384
#define PACK 4

struct Piece {
    u32 tensor; // its place in the table
    u32 number; // the piece begins at element number * PIECE of it
};

// Where a piece is in its tensor, and how many of its elements move four at a time.
struct Range {
    size_t start;
    int count, packs;
};

__device__ __forceinline__ Range range_of(const Piece &piece, const float *g, size_t length) {
    size_t start = size_t(piece.number) * PIECE, rest = length - start;
    int count = rest < PIECE ? int(rest) : PIECE;
    // A gradient may be a view that begins anywhere; weights and moments are whole arrays.
    bool aligned = reinterpret_cast<size_t>(g) % (PACK * sizeof(float)) == 0;
    return Range{start, count, aligned ? count / PACK : 0};
}

// ---- The norm of the gradients: squares and their sums in f64, in two stages of a fixed order ----

struct Gradient {
    const float *g;
    size_t length;
};

extern "C" __global__ void adamw_squares(const Gradient *gradients, const Piece *pieces, double *sums) {
    Piece piece = pieces[blockIdx.x];
    Gradient gradient = gradients[piece.tensor];
    Range range = range_of(piece, gradient.g, gradient.length);
    const float *g = gradient.g + range.start;
    double sum = 0.0;
    for (int i = threadIdx.x; i < range.packs; i += blockDim.x) {
        float v[PACK];
        load_floats(g + i * PACK, v);
#pragma unroll
        for (int k = 0; k < PACK; k++) sum += double(v[k]) * double(v[k]);
    }
    for (int i = range.packs * PACK + threadIdx.x; i < range.count; i += blockDim.x) sum += double(g[i]) * double(g[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

extern "C" __global__ void adamw_norm(const double *sums, float *norm, int pieces) {
    double sum = 0.0;
    for (int i = threadIdx.x; i < pieces; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *norm = float(sqrt(sum));
}

// The factor that brings the norm down to max_norm; NaN if the norm is. In f64, as on the host.
__device__ __forceinline__ float clip_factor(const float *norm, double max_norm) {
    double factor = max_norm / (double(*norm) + 1e-6);
    return factor >= 1.0 ? 1.0f : float(factor);
}

// For update rules that are not fused: one thread.
extern "C" __global__ void adamw_clip_factor(const float *norm, float *factor, double max_norm) {
    *factor = clip_factor(norm, max_norm);
}

// ---- The update ----

struct Parameter {
    float *w;
    const float *g;
    float *m, *v;
    bf16 *rounded; // where the same weights are kept in bf16, or null
    size_t length;
    // kernels/src/adamw/cpu.rs says what they are.
    float grad_scale, keep, first[2], second[2], rate, correction, eps, unused;
};

// One element, with the multiplications and fused additions of the CPU: with AVX2 or AVX-512 the same bits there and
// here.
__device__ __forceinline__ void update_element(const Parameter &p, float scale, float g, float &w, float &m, float &v) {
    g *= scale;
    m = fmaf(p.first[0], m, p.first[1] * g);
    v = fmaf(p.second[0], v, p.second[1] * (g * g));
    float denominator = sqrtf(v * p.correction) + p.eps;
    w = fmaf(-p.rate, m / denominator, p.keep * w);
}

// `norm` is null where nothing is clipped: then each parameter's own factor holds.
extern "C" __global__ void adamw_update(const Parameter *parameters, const Piece *pieces, const float *norm,
                                        double max_norm) {
    Piece piece = pieces[blockIdx.x];
    Parameter p = parameters[piece.tensor];
    Range range = range_of(piece, p.g, p.length);
    float scale = norm ? clip_factor(norm, max_norm) : p.grad_scale;
    const float *g = p.g + range.start;
    float *w = p.w + range.start, *m = p.m + range.start, *v = p.v + range.start;
    bf16 *rounded = p.rounded ? p.rounded + range.start : nullptr;
    for (int i = threadIdx.x; i < range.packs; i += blockDim.x) {
        float gs[PACK], ws[PACK], ms[PACK], vs[PACK];
        load_floats(g + i * PACK, gs);
        load_floats(w + i * PACK, ws);
        load_floats(m + i * PACK, ms);
        load_floats(v + i * PACK, vs);
#pragma unroll
        for (int k = 0; k < PACK; k++) update_element(p, scale, gs[k], ws[k], ms[k], vs[k]);
        store_floats(ws, w + i * PACK);
        store_floats(ms, m + i * PACK);
        store_floats(vs, v + i * PACK);
        if (rounded) store_floats(ws, rounded + i * PACK);
    }
    for (int i = range.packs * PACK + threadIdx.x; i < range.count; i += blockDim.x) {
        update_element(p, scale, g[i], w[i], m[i], v[i]);
        if (rounded) rounded[i] = to_bf16(w[i]);
    }
}
