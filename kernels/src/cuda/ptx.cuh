// Instructions of Ampere and later that CUDA C has no words for, one function each: matrix fragments (ldmatrix,
// mma.sync), asynchronous copies (cp.async), the power of two and the reciprocal. Each has a twin that does the same on
// the emulated GPU, in tests/emulator/device/emulated_ptx.h.
//
// Fragments, for lane l with g = l / 4 and t = l % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k16"):
//
//     A [16, 16]   a[0] (g, 2t..2t+1)   a[1] (g+8, 2t..)   a[2] (g, 2t+8..)   a[3] (g+8, 2t+8..)
//     B [16, 8]    b[0] (2t..2t+1, g)   b[1] (2t+8..2t+9, g)
//     C [16, 8]    c[0] (g, 2t)   c[1] (g, 2t+1)   c[2] (g+8, 2t)   c[3] (g+8, 2t+1)
#pragma once
#include "common.cuh"

#define LOG2_E 1.44269504f

#ifdef EMULATED_GPU
#include "emulated_ptx.h"
#else

// The address of shared memory as PTX takes it.
__device__ __forceinline__ u32 shared_address(const void *p) {
    return static_cast<u32>(__cvta_generic_to_shared(p));
}

// Four 8 x 8 matrices of bf16. Lane l gives the address of row l % 8 of matrix l / 8, 16 bytes, and gets of each
// matrix the elements (g, 2t) and (g, 2t + 1).
__device__ __forceinline__ void ldmatrix_x4(u32 (&r)[4], u32 row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

// The same of the transposed matrices: each lane gets the elements (2t, g) and (2t + 1, g).
__device__ __forceinline__ void ldmatrix_x4_transposed(u32 (&r)[4], u32 row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

// c += a b, by the warp: A is [16, 16], B [16, 8], both bf16, C in f32.
__device__ __forceinline__ void mma_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Copies BYTES, 4 or 16, to shared memory in the background, or writes zeros where there is nothing to read. Both
// addresses are multiples of BYTES; what is not present is not read, wherever its address leads.
template <int BYTES> __device__ __forceinline__ void copy_async(void *to, const void *from, bool present) {
    if (BYTES == 16) { // past the L1 cache, which only whole chunks may pass
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                     :: "r"(shared_address(to)), "l"(from), "r"(present ? 16 : 0)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                     :: "r"(shared_address(to)), "l"(from), "r"(present ? 4 : 0)
                     : "memory");
    }
}

// Closes a group of this thread's copies.
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most N of this thread's groups are under way. Others see the copies after a barrier.
template <int N> __device__ __forceinline__ void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
}

// 2^x, 0 where that is denormal, within 2^-22.
__device__ __forceinline__ float fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// 1 / x, within 1 ulp; 0 where that is denormal.
__device__ __forceinline__ float fast_reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif

// The same by pointer.
__device__ __forceinline__ void ldmatrix_x4(u32 (&r)[4], const void *row) { ldmatrix_x4(r, shared_address(row)); }
__device__ __forceinline__ void ldmatrix_x4_transposed(u32 (&r)[4], const void *row) {
    ldmatrix_x4_transposed(r, shared_address(row));
}
