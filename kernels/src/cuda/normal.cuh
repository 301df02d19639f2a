// The standard normal distribution, and GELU by it: for the activation, and for the product that is followed by it.
#pragma once
#include "common.cuh"

// From here on everything is 0 or 1 in f32; beyond, products would be inf * 0.
#define FAR 15.0f

// x within [-FAR, FAR]; NaN stays NaN, unlike with fminf.
__device__ __forceinline__ float within_far(float x) { return x > FAR ? FAR : x < -FAR ? -FAR : x; }

// max(x, -FAR); NaN stays NaN.
__device__ __forceinline__ float above_far(float x) { return x < -FAR ? -FAR : x; }

struct Normal {
    float cdf, density;
};

// The standard normal distribution function and its density, within 1e-6 of their values also in the left tail,
// where (1 + erf) / 2 has no digits left. As in kernels/src/simd/math.rs, where the polynomial is explained:
//     cdf = exp(-x^2 / 2) t poly(1 - 6 t) for x < 0, t = 1 / (|x| + 3); 1 - cdf(-x) for x > 0
// One exponential serves both. The rounding error of x^2, which the exponential would blow up, is found by the
// fused multiplication and put right to first order.
__device__ __forceinline__ Normal normal(float x) {
    float a = fabsf(within_far(x));
    float square = a * a, lost = fmaf(a, a, -square);
    float gauss = expf(-0.5f * square);
    gauss = fmaf(-0.5f * lost, gauss, gauss);
    float t = __fdividef(1.0f, a + 3.0f), u = fmaf(t, -6.0f, 1.0f);
    float poly = -2.7220394e-4f;
    poly = fmaf(poly, u, -9.114203e-4f);
    poly = fmaf(poly, u, 1.0774845e-3f);
    poly = fmaf(poly, u, 6.9295e-3f);
    poly = fmaf(poly, u, -1.0479519e-2f);
    poly = fmaf(poly, u, -4.725722e-2f);
    poly = fmaf(poly, u, 2.3001926e-1f);
    poly = fmaf(poly, u, -5.0933224e-1f);
    poly = fmaf(poly, u, 7.2908366e-1f);
    float left = gauss * (t * poly);
    return {x > 0.0f ? 1.0f - left : left, 0.3989423f * gauss};
}

__device__ __forceinline__ float gelu_value(float x) { return above_far(x) * normal(x).cdf; }
