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

// NaN comes through both of p; the bounds keep infinity from meeting a density of 0.
__device__ __forceinline__ float gelu_dx(float x, float dy) {
    Normal p = normal(x);
    return dy * fmaf(fmaxf(fminf(x, FAR), -FAR), p.density, p.cdf);
}

// 2 u = 2 c (x + k x^3)
__device__ __forceinline__ float twice_u(float x) { return x * fmaf(GELU_2C * GELU_K * x, x, GELU_2C); }

// max(x, -FAR); NaN stays NaN.
__device__ __forceinline__ float above_far(float x) { return x < -FAR ? -FAR : x; }

__device__ __forceinline__ float gelu_tanh_value(float x) {
    return above_far(x) * sigmoid(twice_u(within_far(x))).value;
}

__device__ __forceinline__ float gelu_tanh_dx(float x, float dy) {
    x = within_far(x);
    Sigmoid s = sigmoid(twice_u(x));
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
