// Instructions of Ampere and later that CUDA C has no words for, one function each, with a twin that does the
// same on the emulated card: matrix fragments (ldmatrix, mma.sync) and asynchronous copies (cp.async).
//
// Fragments, for lane l with g = l / 4 and t = l % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k16"):
//
//     A [16, 16]   a[0] (g, 2t..2t+1)   a[1] (g+8, 2t..)   a[2] (g, 2t+8..)   a[3] (g+8, 2t+8..)
//     B [16, 8]    b[0] (2t..2t+1, g)   b[1] (2t+8..2t+9, g)
//     C [16, 8]    c[0] (g, 2t)   c[1] (g, 2t+1)   c[2] (g+8, 2t)   c[3] (g+8, 2t+1)
#pragma once
#include "common.cuh"

#ifndef EMULATED_CARD

// The address of shared memory as PTX takes it.
__device__ __forceinline__ u32 shared_address(const void *p) {
    return static_cast<u32>(__cvta_generic_to_shared(p));
}

// Four 8 x 8 matrices of bf16. Lane l gives the address of row l % 8 of matrix l / 8, 16 bytes, and gets of each
// matrix the elements (g, 2t) and (g, 2t + 1).
__device__ __forceinline__ void ldmatrix_x4(u32 (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same of the transposed matrices: each lane gets the elements (2t, g) and (2t + 1, g).
__device__ __forceinline__ void ldmatrix_x4_transposed(u32 (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// c += a b, by the warp: A is [16, 16], B [16, 8], both bf16, C in f32.
__device__ __forceinline__ void mma_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Copies 16 bytes to shared memory in the background, or writes zeros where there is nothing to read. Both
// addresses are multiples of 16; `from` must be a valid address even then.
__device__ __forceinline__ void copy_async_16(void *to, const void *from, bool present) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(shared_address(to)), "l"(from), "r"(present ? 16 : 0)
                 : "memory");
}

// Closes a group of this thread's copies.
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most N of this thread's groups are under way. Others see the copies after a barrier.
template <int N> __device__ __forceinline__ void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
}

#else

#include <cstring>
#include <deque>
#include <vector>

inline float low_bf16(u32 pair) { return __uint_as_float(pair << 16); }
inline float high_bf16(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

struct LoadMatrixArgs {
    const u8 *row;
    u32 (*r)[4];
};

inline void emulated_ldmatrix(u32 (&r)[4], const void *row, bool transposed) {
    LoadMatrixArgs mine = {static_cast<const u8 *>(row), &r};
    emulator::warp_collective(mine, [transposed](LoadMatrixArgs *const lanes[WARP]) {
        for (int matrix = 0; matrix < 4; matrix++) {
            for (int lane = 0; lane < WARP; lane++) {
                u16 pair[2];
                for (int i = 0; i < 2; i++) {
                    int major = lane / 4, minor = lane % 4 * 2 + i;
                    int at = transposed ? minor : major, col = transposed ? major : minor;
                    std::memcpy(&pair[i], lanes[matrix * 8 + at]->row + 2 * col, 2);
                }
                (*lanes[lane]->r)[matrix] = u32(pair[0]) | u32(pair[1]) << 16;
            }
        }
    });
}

inline void ldmatrix_x4(u32 (&r)[4], const void *row) { emulated_ldmatrix(r, row, false); }
inline void ldmatrix_x4_transposed(u32 (&r)[4], const void *row) { emulated_ldmatrix(r, row, true); }

struct MmaArgs {
    float (*c)[4];
    const u32 (*a)[4];
    const u32 (*b)[2];
};

inline void mma_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    MmaArgs mine = {&c, &a, &b};
    emulator::warp_collective(mine, [](MmaArgs *const lanes[WARP]) {
        float a[16][16], b[16][8];
        for (int lane = 0; lane < WARP; lane++) {
            int g = lane / 4, t = lane % 4;
            for (int part = 0; part < 4; part++) {
                float *to = &a[g + part % 2 * 8][2 * t + part / 2 * 8];
                to[0] = low_bf16((*lanes[lane]->a)[part]);
                to[1] = high_bf16((*lanes[lane]->a)[part]);
            }
            for (int part = 0; part < 2; part++) {
                b[2 * t + part * 8][g] = low_bf16((*lanes[lane]->b)[part]);
                b[2 * t + part * 8 + 1][g] = high_bf16((*lanes[lane]->b)[part]);
            }
        }
        for (int lane = 0; lane < WARP; lane++) {
            for (int part = 0; part < 4; part++) {
                int row = lane / 4 + part / 2 * 8, col = lane % 4 * 2 + part % 2;
                float sum = 0.0f;
                for (int k = 0; k < 16; k++) sum += a[row][k] * b[k][col];
                (*lanes[lane]->c)[part] += sum;
            }
        }
    });
}

// Copies happen at once or when they are waited for, as a coin says.
struct PendingCopy {
    void *to;
    const void *from;
};
inline void complete(const PendingCopy &copy) {
    if (copy.from) std::memcpy(copy.to, copy.from, 16);
    else std::memset(copy.to, 0, 16);
}
static std::deque<std::vector<PendingCopy>> copy_groups[1024];
static std::vector<PendingCopy> open_copies[1024];

inline int emulated_thread() {
    return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}

inline void copy_async_16(void *to, const void *from, bool present) {
    PendingCopy copy = {to, present ? from : nullptr};
    if (emulated_copy_at_once()) complete(copy);
    else open_copies[emulated_thread()].push_back(copy);
}

inline void commit_copies() {
    int me = emulated_thread();
    copy_groups[me].push_back(std::move(open_copies[me]));
    open_copies[me].clear();
}

template <int N> inline void wait_for_copies() {
    auto &groups = copy_groups[emulated_thread()];
    while (groups.size() > N) {
        for (const PendingCopy &copy : groups.front()) complete(copy);
        groups.pop_front();
    }
}

#endif
