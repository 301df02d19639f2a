// Activation functions and what a gradient dy becomes on the way back through them, element by element in f32: for the
// activation and for the gated unit. See mod.rs for the equations.
#pragma once
#include "normal.cuh"

#define GELU_2C 1.5957691216057308f // 2 sqrt(2 / pi)
#define GELU_K 0.044715f

struct Sigmoid {
    float value, slope;
};

// With e = exp(-|x|): no overflow and no cancellation on either side.
__device__ __forceinline__ Sigmoid sigmoid(float x) {
    float e = expf(-fabsf(x));
    float near_one = __fdividef(1.0f, 1.0f + e), near_zero = e * near_one;
    return {x > 0.0f ? near_one : near_zero, near_zero * near_one};
}

// Infinity would meet a 0 in these products. NaN becomes a number here, and comes through the other factor.
__device__ __forceinline__ float within_far(float x) { return fmaxf(fminf(x, FAR), -FAR); }

__device__ __forceinline__ float gelu_dx(float x, float dy) {
    Normal p = normal(x);
    return dy * fmaf(within_far(x), p.density, p.cdf);
}

// 2 u = 2 c (x + k x^3)
__device__ __forceinline__ float twice_u(float x) { return x * fmaf(GELU_2C * GELU_K * x, x, GELU_2C); }

__device__ __forceinline__ float gelu_tanh_value(float x) { return fmaxf(x, -FAR) * sigmoid(twice_u(x)).value; }

__device__ __forceinline__ float gelu_tanh_dx(float x, float dy) {
    Sigmoid s = sigmoid(twice_u(x));
    x = within_far(x);
    float twice_du = fmaf(3.0f * GELU_2C * GELU_K * x, x, GELU_2C);
    return dy * fmaf(x * s.slope, twice_du, s.value);
}

// NaN stays NaN.
__device__ __forceinline__ float relu_value(float x) { return x <= 0.0f ? 0.0f : x; }
__device__ __forceinline__ float relu_dx(float x, float dy) { return x > 0.0f ? dy : 0.0f; }

__device__ __forceinline__ float tanh_value(float x) { return tanhf(x); }
__device__ __forceinline__ float tanh_dx(float x, float dy) { return dy * (4.0f * sigmoid(2.0f * x).slope); }

__device__ __forceinline__ float sigmoid_value(float x) { return sigmoid(x).value; }
__device__ __forceinline__ float sigmoid_dx(float x, float dy) { return dy * sigmoid(x).slope; }
