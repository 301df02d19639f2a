// Arithmetic as CUDA names it. The fast forms (`__expf`) are the exact ones here: results differ from a GPU's
// within what a GPU's own documentation allows.
#pragma once

#define EMULATOR_MATH1(NAME)                                         \
  extern "C" double NAME(double) noexcept;                           \
  extern "C" float NAME##f(float) noexcept;                          \
  __attribute__((always_inline)) inline float NAME(float x) { return NAME##f(x); }
#define EMULATOR_MATH2(NAME)                                         \
  extern "C" double NAME(double, double) noexcept;                   \
  extern "C" float NAME##f(float, float) noexcept;                   \
  __attribute__((always_inline)) inline float NAME(float x, float y) { return NAME##f(x, y); }

EMULATOR_MATH1(exp) EMULATOR_MATH1(exp2) EMULATOR_MATH1(expm1) EMULATOR_MATH1(log) EMULATOR_MATH1(log2)
EMULATOR_MATH1(log10) EMULATOR_MATH1(log1p) EMULATOR_MATH1(sqrt) EMULATOR_MATH1(cbrt) EMULATOR_MATH1(sin)
EMULATOR_MATH1(cos) EMULATOR_MATH1(tan) EMULATOR_MATH1(asin) EMULATOR_MATH1(acos) EMULATOR_MATH1(atan)
EMULATOR_MATH1(sinh) EMULATOR_MATH1(cosh) EMULATOR_MATH1(tanh) EMULATOR_MATH1(erf) EMULATOR_MATH1(erfc)
EMULATOR_MATH1(floor) EMULATOR_MATH1(ceil) EMULATOR_MATH1(trunc) EMULATOR_MATH1(round) EMULATOR_MATH1(rint)
EMULATOR_MATH1(nearbyint) EMULATOR_MATH1(fabs) EMULATOR_MATH1(lgamma) EMULATOR_MATH1(tgamma)
EMULATOR_MATH2(pow) EMULATOR_MATH2(fmax) EMULATOR_MATH2(fmin) EMULATOR_MATH2(fmod) EMULATOR_MATH2(atan2)
EMULATOR_MATH2(copysign) EMULATOR_MATH2(hypot) EMULATOR_MATH2(fdim)
#undef EMULATOR_MATH1
#undef EMULATOR_MATH2

extern "C" double fma(double, double, double) noexcept;
extern "C" float fmaf(float, float, float) noexcept;
inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
extern "C" double ldexp(double, int) noexcept;
extern "C" float ldexpf(float, int) noexcept;
inline float ldexp(float x, int e) { return ldexpf(x, e); }
extern "C" float exp10f(float) noexcept;
extern "C" float frexpf(float, int*) noexcept;
extern "C" float scalbnf(float, int) noexcept;
extern "C" int ilogbf(float) noexcept;
extern "C" long lrintf(float) noexcept;
extern "C" long lroundf(float) noexcept;
extern "C" int abs(int) noexcept;
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return fabs(x); }
inline long long abs(long long x) { return x < 0 ? -x : x; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float normcdff(float x) { return 0.5f * erfcf(x * -0.70710678118654752f); }
inline void sincosf(float x, float* s, float* c) { *s = sinf(x), *c = cosf(x); }

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#undef isnan
#undef isinf
#undef isfinite
#undef signbit
template <class T> inline bool isnan(T x) { return __builtin_isnan(x); }
template <class T> inline bool isinf(T x) { return __builtin_isinf(x) != 0; }
template <class T> inline bool signbit(T x) { return __builtin_signbit(x) != 0; }
template <class T> inline bool isfinite(T x) { return __builtin_isfinite(x); }

inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return expf(x * 2.302585093f); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __tanhf(float x) { return tanhf(x); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return static_cast<float>(1.0 / sqrt(static_cast<double>(x))); }
// A value as it is in memory: what made it is not fused with what uses it. (GCC makes a product in double that is
// rounded to float one in float, and then fuses it.)
namespace emulator {
template <class T> inline T stored(T x) {
  volatile T memory = x;
  return memory;
}
}  // namespace emulator
inline float __fmul_rn(float x, float y) { return emulator::stored(x * y); }
inline float __fadd_rn(float x, float y) { return emulator::stored(x) + emulator::stored(y); }
inline float __fsub_rn(float x, float y) { return emulator::stored(x) - emulator::stored(y); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __dmul_rn(double x, double y) { return emulator::stored(x * y); }
inline double __dadd_rn(double x, double y) { return emulator::stored(x) + emulator::stored(y); }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }

namespace emulator {
template <class To, class From> inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "a change of type, not of size");
  To to;
  __builtin_memcpy(&to, &from, sizeof(To));
  return to;
}
}  // namespace emulator

inline unsigned __float_as_uint(float x) { return emulator::bits<unsigned>(x); }
inline int __float_as_int(float x) { return emulator::bits<int>(x); }
inline float __uint_as_float(unsigned x) { return emulator::bits<float>(x); }
inline float __int_as_float(int x) { return emulator::bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulator::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::bits<double>(x); }

// Conversions, with CUDA's saturation of what does not fit.
inline int __float2int_rn(float x) {
  if (__builtin_isnan(x)) return 0;
  return x >= 2147483648.0f ? 2147483647 : x < -2147483648.0f ? -2147483647 - 1 : static_cast<int>(rintf(x));
}
inline int __float2int_rz(float x) { return __float2int_rn(truncf(x)); }
inline int __float2int_rd(float x) { return __float2int_rn(floorf(x)); }
inline unsigned __float2uint_rn(float x) {
  return !(x > 0) ? 0u : x >= 4294967296.0f ? ~0u : static_cast<unsigned>(rintf(x));
}
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }

inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned long long>(a) * b >> 32; }
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<long long>(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
  unsigned result = 0;
  for (int i = 0; i < 32; ++i) result |= (x >> i & 1u) << (31 - i);
  return result;
}
// prmt without a mode: each nibble picks one of 8 bytes; its top bit spreads that byte's sign.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  unsigned long long bytes = static_cast<unsigned long long>(b) << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    unsigned pick = selector >> (4 * i) & 15u;
    unsigned byte = static_cast<unsigned>(bytes >> (8 * (pick & 7u))) & 255u;
    if (pick & 8u) byte = byte & 128u ? 255u : 0u;
    result |= byte << (8 * i);
  }
  return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
  return static_cast<unsigned>(both << (shift & 31u) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
  return static_cast<unsigned>(both >> (shift & 31u));
}

// min and max of one type, or of two that C++ converts to one; of floats they ignore a NaN.
namespace emulator {
template <class T> struct MinMax {
  static constexpr T min(T a, T b) { return b < a ? b : a; }
  static constexpr T max(T a, T b) { return a < b ? b : a; }
};
template <> struct MinMax<float> {
  static float min(float a, float b) { return fminf(a, b); }
  static float max(float a, float b) { return fmaxf(a, b); }
};
template <> struct MinMax<double> {
  static double min(double a, double b) { return fmin(a, b); }
  static double max(double a, double b) { return fmax(a, b); }
};
}  // namespace emulator
template <class A, class B> constexpr auto min(A a, B b) -> decltype(a + b) {
  return emulator::MinMax<decltype(a + b)>::min(a, b);
}
template <class A, class B> constexpr auto max(A a, B b) -> decltype(a + b) {
  return emulator::MinMax<decltype(a + b)>::max(a, b);
}

#if !defined(__clang__)
#define __builtin_assume(condition) ((condition) ? (void)0 : __builtin_unreachable())
#endif
