// exp, log, sigmoid and tanh that a compiler turns into vector code inside an `omp simd` loop, without -ffast-math.
// Relative error of exp and log about 1e-7; NaN stays NaN, so that a diverged run is still seen.
#pragma once

#include <cstdint>
#include <cstring>

#include "spans.h"

namespace normlab {

inline float bits_to_float(int32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline int32_t float_to_bits(float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_of(int32_t bits) { return bits_to_float(bits); }
inline int32_t bits_of(float value) { return float_to_bits(value); }
inline vf float_of(vi bits) { return (vf)bits; }
inline vi bits_of(vf value) { return (vi)value; }

// |x|, and the size of a number with the sign of another; V is float or a vector, here and below.
template <class V>
inline V size_of(V x) {
    return float_of(bits_of(x) & 0x7fffffff);
}

template <class V>
inline V with_sign(V size, V sign) {
    return float_of((bits_of(size) & 0x7fffffff) | (bits_of(sign) & int32_t(0x80000000)));
}

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2; 0 below -87.3, the largest power of two at 88.
template <class V>
inline V exp_fast(V x) {
    const float shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, left in the lowest bits
    x = x > 88.0f ? V{} + 88.0f : x;
    const V clamped = x < -87.3f ? V{} - 87.3f : x;
    const V shifted = clamped * 1.44269504f + shift;
    const V n = shifted - shift;
    V r = clamped - n * 0.693359375f;  // ln 2 in two parts: the product with n stays exact
    r = r + n * 2.12194440e-4f;
    V p = V{} + 1.9875691500e-4f;  // Taylor-like minimax coefficients of degree 7 (Cephes)
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const V scaled = p * float_of((bits_of(shifted) << 23) + 0x3f800000);
    return x < -87.3f ? V{} : scaled;
}

inline float sigmoid_fast(float x) { return 1.0f / (1.0f + exp_fast(-x)); }

inline float tanh_fast(float x) { return 2.0f / (1.0f + exp_fast(-2.0f * x)) - 1.0f; }

// log(x) of a positive normal number: x = 2^n m, sqrt(1/2) <= m < sqrt(2), and a polynomial in m - 1 (Cephes).
inline float log_fast(float x) {
    const int32_t bits = float_to_bits(x), above = bits - 0x3f3504f3;  // 0x3f3504f3 is sqrt(1/2)
    const float n = (float)(above >> 23);
    const float m = bits_to_float((above & 0x007fffff) + 0x3f3504f3) - 1.0f;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    const float square = m * m;
    return m + (p * m * square - 0.5f * square + n * -2.12194440e-4f) + n * 0.693359375f;
}

}  // namespace normlab
