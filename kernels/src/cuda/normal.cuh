// The standard normal distribution, and GELU by it: for the activation, and for the product that is followed by it.
#pragma once
#include "ptx.cuh"

// From here on everything is 0 or 1 in f32; beyond, products would be inf * 0.
#define FAR 15.0f

struct Tail {
    float cdf, gauss; // P(X > a), and exp(-a^2 / 2)
};

// c[0] u^(N - 1) + ... + c[N - 1], by Horner's rule.
template <int N> __device__ __forceinline__ float polynomial(const float (&c)[N], float u) {
    float sum = c[0];
#pragma unroll
    for (int i = 1; i < N; i++) sum = fmaf(sum, u, c[i]);
    return sum;
}

// The standard normal distribution to the right of a >= 0, as in kernels/src/simd/math.rs, where the polynomial is
// explained:
//     P(X > a) = exp(-a^2 / 2) t poly(1 - 6 t), t = 1 / (a + 3)
#ifdef HIDDEN_BF16
// Within 1e-4 of their values, of which bf16 keeps 4e-3: half the instructions, which else take longer than memory on
// an H200. NaN stays NaN, and of infinity both are 0.
__device__ __forceinline__ Tail right_tail(float a) {
    float gauss = fast_exp2(a * (-0.5f * LOG2_E) * a), t = fast_reciprocal(a + 3.0f), u = fmaf(t, -6.0f, 1.0f);
    const float poly[] = {5.526957e-3f, -9.291214e-3f, -4.664778e-2f, 2.2963450e-1f, -5.0939311e-1f, 7.2910212e-1f};
    return {gauss * (t * polynomial(poly, u)), gauss};
}
#else
// Within 1e-6 of their values. The rounding error of a^2, which the exponential would blow up, is found by the fused
// multiplication and put right to first order.
__device__ __forceinline__ Tail right_tail(float a) {
    a = a > FAR ? FAR : a;
    float square = a * a, lost = fmaf(a, a, -square);
    float gauss = expf(-0.5f * square);
    gauss = fmaf(-0.5f * lost, gauss, gauss);
    float t = __fdividef(1.0f, a + 3.0f), u = fmaf(t, -6.0f, 1.0f);
    const float poly[] = {-2.7220394e-4f, -9.114203e-4f, 1.0774845e-3f,  6.9295e-3f,   -1.0479519e-2f,
                          -4.725722e-2f,  2.3001926e-1f, -5.0933224e-1f, 7.2908366e-1f};
    return {gauss * (t * polynomial(poly, u)), gauss};
}
#endif

struct Normal {
    float cdf, density;
};

// The distribution function and its density, with all digits also in the left tail, where (1 + erf) / 2 has none left.
__device__ __forceinline__ Normal normal(float x) {
    Tail tail = right_tail(fabsf(x));
    return {x > 0.0f ? 1.0f - tail.cdf : tail.cdf, 0.3989423f * tail.gauss};
}

// x cdf(x) = max(x, 0) - |x| P(X > |x|), without a choice between the two sides. NaN comes through the tail; fminf
// keeps infinity from meeting its 0.
__device__ __forceinline__ float gelu_value(float x) {
    float a = fabsf(x);
    return fmaf(-fminf(a, FAR), right_tail(a).cdf, fmaxf(x, 0.0f));
}
