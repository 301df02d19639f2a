// Operands at any strides, and batches of them: for the rungs that move single elements.
#pragma once
#include "product.cuh"

#define BATCH_AXES 4

// In elements. kernels/src/matmul/cuda/param.rs has the same fields.
struct Strides {
    long long a_row, a_col; // A at (i, k) is a[i * a_row + k * a_col]
    long long b_row, b_col; // B at (k, j) is b[k * b_row + j * b_col]
    // The leading axes, the last one fastest; a stride of 0 repeats an operand. Axes that are not there have the
    // size 1. Products of a batch lie behind each other in C.
    int batch[BATCH_AXES];
    long long a_batch[BATCH_AXES], b_batch[BATCH_AXES];
};

// Where an operand with the batch strides `strides` starts in product `number`.
__device__ __forceinline__ long long
batch_offset(const Strides &s, const long long (&strides)[BATCH_AXES], int number) {
    long long offset = 0;
#pragma unroll
    for (int axis = BATCH_AXES - 1; axis >= 0; axis--) {
        offset += number % s.batch[axis] * strides[axis];
        number /= s.batch[axis];
    }
    return offset;
}
