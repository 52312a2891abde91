// Products of float32 matrices for AVX-512 and AVX2: C (m, n) = A (m, k) B (k, n), B packed beforehand into panels.
// NORMLAB_PRODUCTS is defined where they are there.
//
// BLAS packs both matrices anew at each call, which for 32 rows of an LSTM's step costs a fifth of the product; here the
// weights are packed once for all steps. A is read where it lies, by any strides, so that it may be a transpose.
#pragma once

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#define NORMLAB_PRODUCTS

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "spans.h"

namespace normlab {

// The sums of so many rows fill the registers, with a panel of three vectors where there are 32 of them, of two where
// there are 16.
constexpr int64_t BLOCK_ROWS = LANES == 16 ? 8 : 6;

// Vectors of the next panel, of those that are left; of four, two, since the sums of one alone would wait for their loads.
inline int64_t panel_vectors(int64_t left) { return std::min<int64_t>(LANES == 16 && left != 4 ? 3 : 2, left); }

inline int64_t vectors_of(int64_t n) { return (n + LANES - 1) / LANES; }

// Numbers of a packed (k, n) matrix.
inline int64_t packed_size(int64_t k, int64_t n) { return k * vectors_of(n) * LANES; }

// Panels (k, width) of some vectors of columns each; columns beyond n are zero.
inline void pack(const float* B, int64_t row, int64_t column, int64_t k, int64_t n, float* packed) {
    for (int64_t j = 0, width; j < n; j += width, packed += k * width) {
        width = panel_vectors(vectors_of(n - j)) * LANES;
        const float* from = B + j * column;
        const int64_t real = std::min(width, n - j);
        if (real < width) std::fill(packed, packed + k * width, 0.0f);
        if (column == 1) {
            for (int64_t i = 0; i < k; ++i)
                sweep<0>(real, 1, [&](int64_t c, int, auto size) NORMLAB_BODY {
                    store(packed + i * width + c, load(from + i * row + c, size), size);
                });
            continue;
        }
        for (int64_t i = 0; i < k; ++i)
#pragma omp simd
            for (int64_t c = 0; c < real; ++c) packed[i * width + c] = from[i * row + c * column];
    }
}

// sums(r, v) += A (ROWS, k) B (k, V vectors), whose rows are `b_row` apart.
template <int ROWS, int V>
NORMLAB_INLINE void accumulate(vf (&sums)[ROWS][V], const float* A, int64_t row, int64_t column, const float* B,
                               int64_t b_row, int64_t k) {
    for (int64_t i = 0; i < k; ++i, A += column, B += b_row) {
        vf b[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            b[v] = load(B + v * LANES, Full{});
            asm("" : "+v"(b[v]));  // else a block of few rows loads it anew for each of them
        }
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) {
            const vf a = splat(A[r * row]);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[r][v] += a * b[v];
        }
    }
}

template <int ROWS, int V>
NORMLAB_INLINE void multiply_block(const float* A, int64_t row, int64_t column, const float* panel, int64_t k, float* C,
                                   int64_t c_row, int64_t width, bool add) {
    vf sums[ROWS][V] = {};
    accumulate(sums, A, row, column, panel, V * LANES, k);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            float* c = C + r * c_row + v * LANES;
            auto put = [&](auto size) NORMLAB_BODY { store(c, add ? sums[r][v] + load(c, size) : sums[r][v], size); };
            if ((v + 1) * LANES <= width)
                put(Full{});
            else if (v * LANES < width)
                put(Part{int(width - v * LANES)});
        }
}

#ifdef __AVX512BF16__

// The same in bfloat16 with float32 sums: k is taken in pairs, and a pair is one number of 32 bits. Pairs that k does not
// fill hold zeros.
inline int64_t pairs_of(int64_t k) { return (k + 1) / 2; }

NORMLAB_INLINE uint32_t pair_of(float even, float odd) {
    float both[LANES] = {even, odd};
    uint32_t pair;
    const __m256i half = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(both));
    std::memcpy(&pair, &half, sizeof pair);
    return pair;
}

// Two rows of n numbers as one of n pairs; without `odd` with zeros.
inline void pair_rows(const float* even, const float* odd, int64_t n, uint32_t* to) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES) {
        const __m512 second = odd ? _mm512_loadu_ps(odd + c) : _mm512_setzero_ps();
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, _mm512_loadu_ps(even + c));
        _mm512_storeu_si512(to + c, _mm512_permutexvar_epi16(order, both));
    }
    for (; c < n; ++c) to[c] = pair_of(even[c], odd ? odd[c] : 0.0f);
}

// A row of k numbers as pairs of neighbours.
inline void pair_neighbours(const float* row, int64_t k, uint32_t* to) {
    int64_t i = 0;
    for (; i + LANES <= k; i += LANES) {
        const __m256i half = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(row + i));
        std::memcpy(to + i / 2, &half, sizeof half);
    }
    for (; i < k; i += 2) to[i / 2] = pair_of(row[i], i + 1 < k ? row[i + 1] : 0.0f);
}

// As `pack`: panels (k / 2, width) of pairs. One of the strides is 1. `memory`: n pairs_of(k) numbers where column is not.
inline void pack_pairs(const float* B, int64_t row, int64_t column, int64_t k, int64_t n, uint32_t* packed,
                       uint32_t* memory) {
    const int64_t half = pairs_of(k);
    for (int64_t c = 0; c < n && column != 1; ++c) pair_neighbours(B + c * column, k, memory + c * half);
    for (int64_t j = 0, width; j < n; j += width, packed += half * width) {
        width = panel_vectors(vectors_of(n - j)) * LANES;
        const int64_t real = std::min(width, n - j);
        if (real < width) std::fill(packed, packed + half * width, 0u);
        for (int64_t i = 0; i < half; ++i) {
            uint32_t* to = packed + i * width;
            const float* from = B + 2 * i * row + j;
            if (column == 1)
                pair_rows(from, 2 * i + 1 < k ? from + row : nullptr, real, to);
            else
                for (int64_t c = 0; c < real; ++c) to[c] = memory[(j + c) * half + i];
        }
    }
}

template <int ROWS, int V>
NORMLAB_INLINE void multiply_block(const uint32_t* A, int64_t row, int64_t column, const uint32_t* panel, int64_t half,
                                   float* C, int64_t c_row, int64_t width, bool add) {
    __m512 sums[ROWS][V];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[r][v] = _mm512_setzero_ps();
    for (int64_t i = 0; i < half; ++i, A += column, panel += V * LANES) {
        __m512bh b[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) b[v] = (__m512bh)_mm512_loadu_si512(panel + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) {
            const __m512bh a = (__m512bh)_mm512_set1_epi32(int(A[r * row]));
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], b[v], a);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            float* c = C + r * c_row + v * LANES;
            const vf sum = (vf)sums[r][v];
            auto put = [&](auto size) NORMLAB_BODY { store(c, add ? sum + load(c, size) : sum, size); };
            if ((v + 1) * LANES <= width)
                put(Full{});
            else if (v * LANES < width)
                put(Part{int(width - v * LANES)});
        }
}

#endif

// Calls run.operator()<ROWS>(first row) for all m rows. Of a rest of eight rows four and four, not six, one and one: a row
// alone waits for each of its sums.
template <class Run>
NORMLAB_INLINE void in_blocks_of_rows(int64_t m, Run run) {
    int64_t r = 0;
    for (; r + BLOCK_ROWS <= m && (BLOCK_ROWS == 8 || m - r != 8); r += BLOCK_ROWS) run.template operator()<BLOCK_ROWS>(r);
    for (; r + 4 <= m; r += 4) run.template operator()<4>(r);
    for (; r < m; ++r) run.template operator()<1>(r);
}

// `Value`: float, or a pair of bfloat16, of which k then counts the pairs.
template <int V, class Value>
inline void multiply_panel(const Value* A, int64_t row, int64_t column, int64_t m, const Value* panel, int64_t k, float* C,
                           int64_t c_row, int64_t width, bool add) {
    in_blocks_of_rows(m, [&]<int ROWS>(int64_t r) NORMLAB_BODY {
        multiply_block<ROWS, V>(A + r * row, row, column, panel, k, C + r * c_row, c_row, width, add);
    });
}

// Numbers of A (256 KB) that stay in the second-level cache while all panels pass.
constexpr int64_t KEPT_NUMBERS = 1 << 16;

// C (m, n), its rows c_row apart, from A, whose strides are given, and packed B; with `add` to what C holds.
template <class Value>
inline void multiply(const Value* A, int64_t row, int64_t column, int64_t m, const Value* packed, int64_t k, int64_t n,
                     float* C, int64_t c_row, bool add) {
    const int64_t most = std::max<int64_t>(4, KEPT_NUMBERS / std::max<int64_t>(k, 1) / BLOCK_ROWS) * BLOCK_ROWS;
    for (int64_t first = 0; first < m; first += most) {
        const int64_t rows = std::min(most, m - first);
        const Value* panel = packed;
        for (int64_t j = 0, width; j < n; j += width, panel += k * width) {
            const int64_t vectors = panel_vectors(vectors_of(n - j));
            width = vectors * LANES;
            auto* run = vectors == 3   ? &multiply_panel<3, Value>
                        : vectors == 2 ? &multiply_panel<2, Value>
                                       : &multiply_panel<1, Value>;
            run(A + first * row, row, column, rows, panel, k, C + first * c_row + j, c_row, std::min(width, n - j), add);
        }
    }
}

}  // namespace normlab

#endif
