// Instructions of Hopper (sm_90a) that CUDA C has no words for, one function each: tensor copies (TMA), the barriers
// in shared memory that they complete on, and wgmma, the matrix product of a warpgroup, four warps, with operands in
// shared memory. Each has a twin that does the same on the emulated GPU, in
// tests/emulator/device/emulated_hopper.h.
//
// Sources: PTX ISA 9.1, "Asynchronous Warpgroup Level Matrix Shared Memory Layout" (9.7.15.5.1.2) with its strides,
// canonical layouts and matrix descriptor; "wgmma.mma_async", "wgmma.fence", "mbarrier", "cp.async.bulk.tensor",
// "cp.async.bulk.wait_group", "stmatrix", "setmaxnreg".
//
// Matrices in shared memory, as a tensor copy with 128-byte swizzle writes a box of 64 x R elements of bf16: R rows
// of 128 bytes, the 16-byte chunks of a row permuted by its number, that is, bits 4-6 of an address xor bits 7-9. Eight
// rows, 1024 bytes and aligned to that, are the unit that repeats.
//
//     K-major   a box is [rows of M or N][64 of K]. The stride offset leads from 8 rows to the next 8: 1024 bytes.
//               The leading offset is not used; it is 16 bytes, as CUTLASS (make_gmma_desc) has it. 16 of K further
//               are 32 bytes.
//     MN-major  a box is [rows of K][64 of M or N]. The stride offset leads from 8 of K to the next 8: 1024 bytes;
//               the leading offset from 64 of M or N to the next 64, the next box. 16 of K further are 2048 bytes.
#pragma once
#include "common.cuh"

// What the driver encodes (CUtensorMap); opaque. A kernel takes it as `const __grid_constant__ TensorMap`.
struct alignas(128) TensorMap {
    u64 opaque[16];
};

// A barrier in shared memory: a phase ends when all arrivals and all announced bytes have come.
typedef u64 Barrier;

// A descriptor but for the address. `apart` is the number of bytes between the boxes of an MN-major operand.
template <Major MAJOR> __device__ __forceinline__ u64 descriptor_of_boxes(u32 apart) {
    const u64 swizzle_128 = 1, stride_offset = 1024, leading_offset = MAJOR == K_MAJOR ? 16 : apart;
    return swizzle_128 << 62 | (stride_offset >> 4) << 32 | (leading_offset >> 4) << 16;
}

// The matrix that starts at an address of shared memory, in 18 bits without the last four.
__device__ __forceinline__ u64 with_address(u64 descriptor, u32 address) {
    return descriptor | (address & 0x3ffff) >> 4;
}

#ifdef EMULATED_GPU
#include "emulated_hopper.h"
#elif __CUDA_ARCH__ >= 900

__device__ __forceinline__ u32 shared_handle(const void *p) {
    return static_cast<u32>(__cvta_generic_to_shared(p));
}

// ---- Barriers ----

__device__ __forceinline__ void barrier_init(Barrier *barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(shared_handle(barrier)), "r"(arrivals) : "memory");
}

// Shows this thread's new barriers to the copy engine; a barrier of the block shows them to its threads.
__device__ __forceinline__ void barriers_ready() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void barrier_arrive(Barrier *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(shared_handle(barrier)) : "memory");
}

// Arrives, and announces bytes that copies will bring in this phase.
__device__ __forceinline__ void barrier_arrive_expect(Barrier *barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                 :: "r"(shared_handle(barrier)), "r"(bytes)
                 : "memory");
}

// Waits until the phase of that parity, 0 for the first, has ended.
__device__ __forceinline__ void barrier_wait(Barrier *barrier, int parity) {
    u32 done = 0;
    while (!done) {
        asm volatile("{ .reg .pred done; "
                     "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2; "
                     "selp.u32 %0, 1, 0, done; }"
                     : "=r"(done)
                     : "r"(shared_handle(barrier)), "r"(parity)
                     : "memory");
    }
}

// ---- Tensor copies ----

// Starts the copy of the box at (x, y), x along rows, to shared memory aligned to 1024 bytes. What lies outside of
// the matrix arrives as zeros, and counts as bytes. One thread calls it.
__device__ __forceinline__ void copy_box(void *to, const TensorMap &map, int x, int y, Barrier *barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];"
                 :: "r"(shared_handle(to)), "l"(&map), "r"(shared_handle(barrier)), "r"(x), "r"(y)
                 : "memory");
}

// Shows what this thread has written to shared memory to the copy engine. Before each box that is stored.
__device__ __forceinline__ void show_to_engine() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Starts the way back: of the box at (x, y) what lies inside of the matrix is written. One thread calls it, in groups
// that it closes.
__device__ __forceinline__ void store_box(const TensorMap &map, int x, int y, const void *from) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];"
                 :: "l"(&map), "r"(shared_handle(from)), "r"(x), "r"(y)
                 : "memory");
}
__device__ __forceinline__ void commit_stores() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// Waits until the boxes of all but N of this thread's groups have been read, so that their places may be written.
template <int N> __device__ __forceinline__ void wait_for_stores() {
    asm volatile("cp.async.bulk.wait_group.read %0;" :: "n"(N) : "memory");
}

// Four 8 x 8 matrices of bf16, as ldmatrix_x4 reads them: lane l gives the address of row l % 8 of matrix l / 8, and of
// each matrix the elements (g, 2t) and (g, 2t + 1), g = l / 4 and t = l % 4.
__device__ __forceinline__ void stmatrix_x4(void *row, const u32 (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
                 :: "r"(shared_handle(row)), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

// Fetches the description of a matrix, which the first copy would wait for.
__device__ __forceinline__ void prefetch_map(const TensorMap &map) {
    asm volatile("prefetch.tensormap [%0];" :: "l"(&map) : "memory");
}

// ---- Products of a warpgroup ----

// Orders earlier accesses to the registers of sums before the next products.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Closes a group of products.
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most GROUPS groups are under way.
template <int GROUPS> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(GROUPS) : "memory");
}

// Waits for all, and keeps the compiler from reading `sums` before that.
template <int N> __device__ __forceinline__ void wgmma_wait_all(float (&sums)[N]) {
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(sums[i])::"memory");
}

#define SUMS_4(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define SUMS_16(i) SUMS_4(i), SUMS_4(i + 4), SUMS_4(i + 8), SUMS_4(i + 12)
#define SUMS_64 SUMS_16(0), SUMS_16(16), SUMS_16(32), SUMS_16(48)
#define SUMS_96 SUMS_64, SUMS_16(64), SUMS_16(80)
#define SUMS_128 SUMS_96, SUMS_16(96), SUMS_16(112)

#define REGISTERS_64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define REGISTERS_96 REGISTERS_64 \
    ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define REGISTERS_128 REGISTERS_96 \
    ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// sums = A B, or sums += A B, in the background: A is [64, 16], B [16, COLS = 2 N], both bf16 by descriptor. Warp w
// has rows 16 w to 16 w + 15; for lane l with g = l / 4 and t = l % 4 sums[4 i + 2 h + j] is row 16 w + g + 8 h,
// column 8 i + 2 t + j.
//
// X_ is the number of operand x, behind those of the sums.
#define WGMMA_OF(N, COLS, A_, B_, ACCUMULATE_, MAJOR_A_, MAJOR_B_) \
    template <Major MAJOR_A, Major MAJOR_B> \
    __device__ __forceinline__ void wgmma(float (&sums)[N], u64 a, u64 b, int accumulate) { \
        asm volatile("{ .reg .pred accumulate; setp.ne.b32 accumulate, " ACCUMULATE_ ", 0; " \
                     "wgmma.mma_async.sync.aligned.m64n" COLS "k16.f32.bf16.bf16 {" REGISTERS_##N "}, " \
                     A_ ", " B_ ", accumulate, 1, 1, " MAJOR_A_ ", " MAJOR_B_ "; }" \
                     : SUMS_##N \
                     : "l"(a), "l"(b), "r"(accumulate), "n"(int(MAJOR_A)), "n"(int(MAJOR_B))); \
    }

WGMMA_OF(64, "128", "%64", "%65", "%66", "%67", "%68")
WGMMA_OF(96, "192", "%96", "%97", "%98", "%99", "%100")
WGMMA_OF(128, "256", "%128", "%129", "%130", "%131", "%132")

// ---- Registers ----

// The warpgroup gives registers back, or takes more. `launch_bounds(threads, 1)` says how many it begins with.
template <int N> __device__ __forceinline__ void fewer_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(N));
}
template <int N> __device__ __forceinline__ void more_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(N));
}

#endif
