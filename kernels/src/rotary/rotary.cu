// Queries and keys turned by the angles of a table, while a packed product is split into queries, keys and values, and
// the way back. A thread takes N pairs of columns, half a head apart, of the same head of all three: what it reads of
// the table serves two turns. See mod.rs for the equations.
#include "common.cuh"

// Rows of q, k and v: three matrices, or blocks of columns of one.
template <typename T> struct Parts {
    T *at[3];
    size_t pitch; // from the row of a token to that of the next
};

// x_i and x_j turned by N angles.
template <int N>
__device__ __forceinline__ void turn(const float (&cos)[N], const float (&sin)[N], float (&x)[2][N]) {
#pragma unroll
    for (int k = 0; k < N; k++) {
        float x_i = x[0][k], x_j = x[1][k];
        x[0][k] = x_i * cos[k] - x_j * sin[k];
        x[1][k] = x_j * cos[k] + x_i * sin[k];
    }
}

// All that a thread needs is asked for before any of it is used.
template <int SIGN, int N>
__device__ __forceinline__ void turn_pairs(const Parts<const hidden> &from, const Parts<hidden> &to,
                                           const u32 *places, const float *table, u32 tokens, u32 heads, u32 half) {
    u32 chunks = half / N, unit = grid_thread(), token = unit / chunks / heads;
    if (token >= tokens) return;
    u32 i = unit % chunks * N, col = unit / chunks % heads * 2 * half + i;
    float x[3][2][N], cos[N], sin[N];
#pragma unroll
    for (int part = 0; part < 3; part++) {
        const hidden *row = from.at[part] + token * from.pitch + col;
        load_floats(row, x[part][0]);
        load_floats(row + half, x[part][1]);
    }
    const float *angles = table + size_t(places[token]) * 2 * half + i;
    load_floats(angles, cos);
    load_floats(angles + half, sin);
#pragma unroll
    for (int k = 0; k < N; k++) sin[k] *= SIGN;
    turn(cos, sin, x[0]);
    turn(cos, sin, x[1]);
#pragma unroll
    for (int part = 0; part < 3; part++) {
        hidden *row = to.at[part] + token * to.pitch + col;
        store_floats(x[part][0], row);
        store_floats(x[part][1], row + half);
    }
}

// `packed`: pairs move by 16 bytes of each half.
template <int SIGN>
__device__ __forceinline__ void turn_all(const Parts<const hidden> &from, const Parts<hidden> &to, const u32 *places,
                                         const float *table, u32 tokens, u32 heads, u32 half, int packed) {
    if (packed) return turn_pairs<SIGN, Wide<hidden>::N>(from, to, places, table, tokens, heads, half);
    turn_pairs<SIGN, 1>(from, to, places, table, tokens, heads, half);
}

extern "C" __global__ void rotary_split(const hidden *qkv, const u32 *places, const float *table, hidden *q, hidden *k,
                                        hidden *v, u32 tokens, u32 heads, u32 half, int packed) {
    size_t h = size_t(heads) * 2 * half;
    turn_all<1>({{qkv, qkv + h, qkv + 2 * h}, 3 * h}, {{q, k, v}, h}, places, table, tokens, heads, half, packed);
}

extern "C" __global__ void rotary_join(const hidden *dq, const hidden *dk, const hidden *dv, const u32 *places,
                                       const float *table, hidden *dqkv, u32 tokens, u32 heads, u32 half, int packed) {
    size_t h = size_t(heads) * 2 * half;
    turn_all<-1>({{dq, dk, dv}, h}, {{dqkv, dqkv + h, dqkv + 2 * h}, 3 * h}, places, table, tokens, heads, half,
                 packed);
}
