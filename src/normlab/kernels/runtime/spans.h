// Vector loops over a span of memory that holds `channels` interleaved channels.
//
// A map in NHWC is one span a sample with C channels; one in NCHW is C spans a sample with one channel. Both are
// swept in periods of `vectors` vectors, the shortest at least four vectors long after which the channels
// repeat: lane j of a period always meets channel j % channels. A table of one number a channel is unrolled
// to a period (Row), or broadcast where there is one channel (Splat). Vectors are GCC's vector types, as wide as
// the CPU's registers: compilers keep wider ones in memory.
#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace normlab {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * LANES)));

#define NORMLAB_INLINE inline __attribute__((always_inline))
#define NORMLAB_BODY __attribute__((always_inline))  // the same for a lambda

struct bf16 {
    uint16_t bits;
};

struct Full {};
struct Part {
    int count;
};

NORMLAB_INLINE vf splat(float value) { return value - vf{}; }  // adding to 0 would be computed: -0 becomes 0

NORMLAB_INLINE vf load(const float* p, Full) {
    vf v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

NORMLAB_INLINE vf load(const bf16* p, Full) {
    vh half;
    std::memcpy(&half, p, sizeof half);
    return (vf)(__builtin_convertvector(half, vu) << 16);
}

NORMLAB_INLINE void store(float* p, vf v, Full) { std::memcpy(p, &v, sizeof v); }

// Rounds to nearest even; a NaN stays one.
NORMLAB_INLINE void store(bf16* p, vf v, Full) {
#ifdef __AVX512BF16__
    const __m256bh native = _mm512_cvtneps_pbh((__m512)v);
    std::memcpy(p, &native, sizeof native);
    return;
#endif
    const vu bits = (vu)v;
    vu rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    rounded = (v != v) ? vu{} + 0x7fc0 : rounded;
    const vh half = __builtin_convertvector(rounded, vh);
    std::memcpy(p, &half, sizeof half);
}

template <class T>
NORMLAB_INLINE vf load(const T* p, Part part) {
    T padded[LANES] = {};
    std::memcpy(padded, p, part.count * sizeof(T));
    return load(padded, Full{});
}

template <class T>
NORMLAB_INLINE void store(T* p, vf v, Part part) {
    T padded[LANES];
    store(padded, v, Full{});
    std::memcpy(p, padded, part.count * sizeof(T));
}

// Zero in the lanes that are no part of the span.
NORMLAB_INLINE vf keep(vf v, Full) { return v; }
NORMLAB_INLINE vf keep(vf v, Part part) {
    vi lane;
#pragma GCC unroll 16
    for (int j = 0; j < LANES; ++j) lane[j] = j;
    return (lane < part.count) ? v : vf{};
}

struct Row {
    const float* values;
    NORMLAB_INLINE vf operator[](int k) const { return load(values + k * LANES, Full{}); }
};

struct Splat {
    vf value;
    explicit Splat(const float* values) : value(splat(*values)) {}
    NORMLAB_INLINE vf operator[](int) const { return value; }
};

// Calls body(offset, k, Full or Part) for each vector of the span; k is its place in the period. K > 0 fixes the
// number of vectors at compile time, so that tables and sums stay in registers.
template <int K, class Body>
NORMLAB_INLINE void sweep(int64_t length, int vectors, Body body) {
    const int count = K ? K : vectors;
    int64_t i = 0;
    for (; i + count * LANES <= length; i += count * LANES) {
#pragma GCC unroll 8
        for (int k = 0; k < count; ++k) body(i + k * LANES, k, Full{});
    }
    if (i == length) return;
#pragma GCC unroll 8
    for (int k = 0; k < count; ++k) {
        if (i + LANES <= length)
            body(i, k, Full{});
        else if (i < length)
            body(i, k, Part{int(length - i)});
        i += LANES;
    }
}

// As `sweep`, where body(offset, k, Full or Part) returns a vector, which goes to out + offset. A period's vectors are
// read before the first is stored: CPUs take a load for dependent on a store before it whose address is the same but for
// a multiple of 4096, and maps that were allocated one after the other lie just so.
template <int K, class T, class Body>
NORMLAB_INLINE void sweep_to(T* out, int64_t length, int vectors, Body body) {
    int64_t i = 0;
    if constexpr (K > 0) {
        for (; i + K * LANES <= length; i += K * LANES) {
            vf values[K];
#pragma GCC unroll 8
            for (int k = 0; k < K; ++k) values[k] = body(i + k * LANES, k, Full{});
#pragma GCC unroll 8
            for (int k = 0; k < K; ++k) store(out + i + k * LANES, values[k], Full{});
        }
    }
    sweep<K>(length - i, vectors, [&](int64_t rest, int k, auto size)
                 NORMLAB_BODY { store(out + i + rest, body(i + rest, k, size), size); });
}

// The sum of all lanes.
NORMLAB_INLINE float total_of(vf v) {
    typedef float v4 __attribute__((vector_size(16)));
    v4 sum;
#if defined(__AVX512F__)
    typedef float v8 __attribute__((vector_size(32)));
    const v8 a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                 __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    sum = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
#elif defined(__AVX__)
    sum = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
    sum = v;
#endif
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// The sums of all lanes of two vectors, with 512-bit registers at little more than the price of one.
NORMLAB_INLINE void totals_of(vf a, vf b, double* first, double* second) {
#if defined(__AVX512F__)
    vf v = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    v += __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    *first += v[0];
    *second += v[8];
#else
    *first += total_of(a);
    *second += total_of(b);
#endif
}

// Adds the lanes of a period up by channel: out[c] += sum over the lanes j with j % channels = c.
inline void fold(const float* lanes, int vectors, int channels, double* out) {
    for (int start = 0; start < vectors * LANES; start += channels)
        for (int c = 0; c < channels; ++c) out[c] += lanes[start + c];
}

// K running sums a lane: in registers, or for K = 0 in the given memory. add_to folds them into one a channel.
template <int K, class Table>
struct Sums {
    vf values[K] = {};
    Sums(float*, int) {}
    NORMLAB_INLINE vf& operator[](int k) { return values[k]; }
    NORMLAB_INLINE vf total() const {
        vf v = values[0];
        for (int k = 1; k < K; ++k) v += values[k];
        return v;
    }
    NORMLAB_INLINE void add_to(double* out, int channels) const {
        if (std::is_same_v<Table, Splat>) {
            *out += total_of(total());
        } else {
            float lanes[K * LANES];
            std::memcpy(lanes, values, sizeof values);
            fold(lanes, K, channels, out);
        }
    }
};

template <class Table>
struct Sums<0, Table> {
    vf* values;
    int vectors;
    Sums(float* memory, int vectors) : values(reinterpret_cast<vf*>(memory)), vectors(vectors) {
        std::memset(memory, 0, vectors * sizeof(vf));
    }
    NORMLAB_INLINE vf& operator[](int k) { return values[k]; }
    NORMLAB_INLINE void add_to(double* out, int channels) const {
        fold(reinterpret_cast<const float*>(values), vectors, channels, out);
    }
};

// Adds both up.
template <int K, class Table>
NORMLAB_INLINE void add_both(const Sums<K, Table>& one, const Sums<K, Table>& other, double* first, double* second,
                             int channels) {
    if constexpr (K > 0 && std::is_same_v<Table, Splat>) {
        totals_of(one.total(), other.total(), first, second);
    } else {
        one.add_to(first, channels);
        other.add_to(second, channels);
    }
}

// The span that a sweep reads, and memory for two periods of sums.
struct Span {
    int64_t length;
    int vectors, channels;
    float* memory;
    float* second() const { return memory + vectors * LANES; }
};

// sums += sum of x
template <int K, class Table, class T>
NORMLAB_INLINE void sum_values(const T* x, const Span& span, double* sums) {
    Sums<K, Table> total(span.memory, span.vectors);
    sweep<K>(span.length, span.vectors,
             [&](int64_t i, int k, auto size) NORMLAB_BODY { total[k] += load(x + i, size); });
    total.add_to(sums, span.channels);
}

// sums += sum of (x - center), squares += sum of (x - center)^2
template <int K, class Table, class T>
NORMLAB_INLINE void sum_deviations(const T* x, const float* centers, const Span& span, double* sums, double* squares) {
    Sums<K, Table> total(span.memory, span.vectors), total_square(span.second(), span.vectors);
    const Table center{centers};
    sweep<K>(span.length, span.vectors, [&](int64_t i, int k, auto size) NORMLAB_BODY {
        const vf deviation = keep(load(x + i, size) - center[k], size);
        total[k] += deviation;
        total_square[k] += deviation * deviation;
    });
    add_both(total, total_square, sums, squares, span.channels);
}

// grads += sum of g, products += sum of g * (x - center). With y, the output of a ReLU, g is grad where y > 0, and
// is written to masked; else g is grad.
template <int K, class Table, bool RELU, class T>
NORMLAB_INLINE void sum_gradients(const T* x, const T* grad, const T* y, T* masked, const float* centers,
                                  const Span& span, double* grads, double* products) {
    Sums<K, Table> total(span.memory, span.vectors), total_product(span.second(), span.vectors);
    const Table center{centers};
    auto body = [&](int64_t i, int k, auto size) NORMLAB_BODY {
        vf g = load(grad + i, size);
        if (RELU) g = (load(y + i, size) <= vf{}) ? vf{} : g;
        total[k] += g;
        total_product[k] += keep(g * (load(x + i, size) - center[k]), size);
        return g;
    };
    if constexpr (RELU)
        sweep_to<K>(masked, span.length, span.vectors, body);
    else
        sweep<K>(span.length, span.vectors, body);
    add_both(total, total_product, grads, products, span.channels);
}

// y = relu?((x - center) * scale + shift + residual?); a NaN stays one.
template <int K, class Table, bool RESIDUAL, bool RELU, class T>
NORMLAB_INLINE void apply(const T* x, const T* residual, T* y, const float* const* tables, const Span& span) {
    const Table center{tables[0]}, scale{tables[1]}, shift{tables[2]};
    sweep_to<K>(y, span.length, span.vectors, [&](int64_t i, int k, auto size) NORMLAB_BODY {
        vf value = (load(x + i, size) - center[k]) * scale[k] + shift[k];
        if (RESIDUAL) value += load(residual + i, size);
        if (RELU) value = (value < vf{}) ? vf{} : value;
        return value;
    });
}

// dx = grad * by_grad + (x - center) * by_x + shift; dx may be grad itself.
template <int K, class Table, class T>
NORMLAB_INLINE void combine(const T* x, const T* grad, T* dx, const float* const* tables, const Span& span) {
    const Table center{tables[0]}, by_grad{tables[1]}, by_x{tables[2]}, shift{tables[3]};
    sweep_to<K>(dx, span.length, span.vectors, [&](int64_t i, int k, auto size) NORMLAB_BODY {
        const vf deviation = load(x + i, size) - center[k];
        return load(grad + i, size) * by_grad[k] + (deviation * by_x[k] + shift[k]);
    });
}

}  // namespace normlab
