// Products of float32 matrices for AVX-512: C (m, n) = A (m, k) B (k, n), B packed beforehand into panels.
//
// BLAS packs both matrices anew at each call, which for 32 rows of an LSTM's step costs a fifth of the product; here the
// weights are packed once for all steps. A is read where it lies, by any strides, so that it may be a transpose.
#pragma once

#ifdef __AVX512F__

#include <algorithm>
#include <cstdint>

#include "spans.h"

namespace normlab {

// Vectors of the next panel, of those that are left: three, whose sums with 8 rows fill the registers, or two where one
// would be left alone, since its sums would wait for their loads.
inline int64_t panel_vectors(int64_t left) { return left == 4 ? 2 : std::min<int64_t>(3, left); }

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

template <int ROWS, int V>
NORMLAB_INLINE void multiply_block(const float* A, int64_t row, int64_t column, const float* panel, int64_t k, float* C,
                                   int64_t c_row, int64_t width, bool add) {
    vf sums[ROWS][V] = {};
    for (int64_t i = 0; i < k; ++i, A += column, panel += V * LANES) {
        vf b[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) b[v] = load(panel + v * LANES, Full{});
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) {
            const vf a = splat(A[r * row]);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[r][v] += a * b[v];
        }
    }
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

template <int V>
inline void multiply_panel(const float* A, int64_t row, int64_t column, int64_t m, const float* panel, int64_t k, float* C,
                           int64_t c_row, int64_t width, bool add) {
    int64_t r = 0;
    for (; r + 8 <= m; r += 8) multiply_block<8, V>(A + r * row, row, column, panel, k, C + r * c_row, c_row, width, add);
    for (; r + 4 <= m; r += 4) multiply_block<4, V>(A + r * row, row, column, panel, k, C + r * c_row, c_row, width, add);
    for (; r < m; ++r) multiply_block<1, V>(A + r * row, row, column, panel, k, C + r * c_row, c_row, width, add);
}

// C (m, n), its rows c_row apart, from A, whose strides are given, and packed B; with `add` to what C holds.
inline void multiply(const float* A, int64_t row, int64_t column, int64_t m, const float* packed, int64_t k, int64_t n,
                     float* C, int64_t c_row, bool add) {
    for (int64_t j = 0, width; j < n; j += width, packed += k * width) {
        const int64_t vectors = panel_vectors(vectors_of(n - j));
        width = vectors * LANES;
        auto* run = vectors == 3 ? &multiply_panel<3> : vectors == 2 ? &multiply_panel<2> : &multiply_panel<1>;
        run(A, row, column, m, packed, k, C + j, c_row, std::min(width, n - j), add);
    }
}

}  // namespace normlab

#endif
