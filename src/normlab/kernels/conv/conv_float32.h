// 3x3 convolution of float32 maps in NHWC, padded by one, stride 1 or 2, forward and backward, for CPUs with AVX2 or
// AVX-512.
//
// In a padded NHWC map the three places of a window's row lie beside each other: 3 C numbers, and those of the next
// position begin stride C further. So each row of the window is a matrix product without any copy of its input, and one
// loop does all three: ROWS x V vectors of sums stay in registers (`accumulate` in products.h).
//     forward             y(j, k) = sum over 3 rows and i < 3 C of x(j stride C + i) w(i, k)
//     gradient of x       the same with the window turned around; by stride 2, four of them, one for each parity
//     gradient of w       dw(i, k) = sum over positions j of x(j stride C + i) dy(j, k)
//
// Dimensions: N samples, C input channels, K output channels, H x W the output's size. K is a multiple of 16, and so is
// C where the input has a gradient. Weights (K, C, 3, 3) are packed for each call.
#pragma once

#include "../runtime/products.h"
#include "../runtime/scratch.h"

#ifdef NORMLAB_PRODUCTS

#include <omp.h>

#include <vector>

namespace float_maps {

using namespace normlab;

constexpr int64_t WINDOW = 9, MOST_VECTORS = 2;
constexpr int64_t WORTH_A_THREAD = 1 << 21;  // products
constexpr int64_t WORTH_A_PART = 1 << 23, MOST_PARTS = 8;
constexpr int64_t MOST_SUMS = 1 << 22;
constexpr int64_t IN_FIRST_CACHE = 5000;  // numbers of a few rows of both maps

struct Shape {
    int64_t N, C, K, height, width, stride, H, W;  // height, width: of the input

    int64_t products() const { return N * H * W * C * K * WINDOW; }
    int threads() const {
        return int(std::max<int64_t>(1, std::min({(int64_t)omp_get_max_threads(), products() / WORTH_A_THREAD, N})));
    }
    // Of the samples, in sums of weights' gradients: the same whatever the number of threads, so that the result is.
    int64_t parts() const {
        return std::max<int64_t>(1, std::min({MOST_PARTS, products() / WORTH_A_PART, N}));
    }
};

inline Shape shape_of(int64_t N, int64_t C, int64_t K, int64_t height, int64_t width, int64_t stride) {
    return {N, C, K, height, width, stride, (height - 1) / stride + 1, (width - 1) / stride + 1};
}

enum Kept { WEIGHTS, BORDERED, SUMS, BY_TAP, INPUTS, PRODUCTS, KEPT };

inline float* kept(Kept which, int64_t size) { return kept_memory<float, KEPT>(which, size); }

// Panels of V vectors of columns each: calls run.operator()<V>(first column).
template <class Run>
inline void in_panels(int64_t columns, Run run) {
    int64_t k = 0;
    for (; k + MOST_VECTORS * LANES <= columns; k += MOST_VECTORS * LANES) run.template operator()<MOST_VECTORS>(k);
    for (; k < columns; k += LANES) run.template operator()<1>(k);
}

// A matrix (rows, columns) whose numbers `at(row, column)` tells, panel by panel: column k begins at rows * k.
template <class At>
void pack_panels(int64_t rows, int64_t columns, At at, float* packed) {
    in_panels(columns, [&]<int V>(int64_t first) {
        float* to = packed + rows * first;
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t k = 0; k < V * LANES; ++k) *to++ = at(i, first + k);
    });
}

// A map (height, width, channels) with a border of zeros; `fill` writes one between them.
struct Bordered {
    int64_t height, width, channels, row;
    float* values;

    Bordered(int64_t height, int64_t width, int64_t channels)
        : height(height), width(width), channels(channels), row((width + 2) * channels),
          values(kept(BORDERED, (height + 2) * row)) {
        std::fill(values, values + (height + 2) * row, 0.0f);
    }
    void fill(const float* map) {
        for (int64_t r = 0; r < height; ++r)
            std::memcpy(values + (r + 1) * row + channels, map + r * width * channels, width * channels * sizeof(float));
    }
};

// Rows of a map, each as a product: of `count` parts of `length` numbers at `input[part]`, by weights at `weights[part]`.
struct Rows {
    const float* input[3];
    const float* weights[3];  // packed (length, columns)
    int count;
    int64_t length, in_column, in_row;
    const float* bias;
    float* output;
    int64_t out_column, out_row, columns, height, width;
};

// Parts [first, last) of all rows for V vectors of columns from k on, added to what the output holds unless it is the first.
template <int V>
inline void multiply_parts(const Rows& rows, int64_t k, int first, int last) {
    for (int64_t i = 0; i < rows.height; ++i)
        in_blocks_of_rows(rows.width, [&]<int ROWS>(int64_t j) NORMLAB_BODY {
            float* y = rows.output + i * rows.out_row + j * rows.out_column + k;
            vf sums[ROWS][V];
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v)
                    sums[r][v] = first        ? load(y + r * rows.out_column + v * LANES, Full{})
                                 : rows.bias ? load(rows.bias + k + v * LANES, Full{})
                                             : vf{};
            for (int part = first; part < last; ++part)
                accumulate(sums, rows.input[part] + i * rows.in_row + j * rows.in_column, rows.in_column, 1,
                           rows.weights[part] + rows.length * k, V * LANES, rows.length);
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v) store(y + r * rows.out_column + v * LANES, sums[r][v], Full{});
        });
}

inline void multiply_rows(const Rows& rows) {
    in_panels(rows.columns, [&]<int V>(int64_t k) {
        // Weights that would fill the first cache pass over the map one part after the other.
        const int at_once = rows.count * rows.length * V * LANES > IN_FIRST_CACHE ? 1 : rows.count;
        for (int part = 0; part < rows.count; part += at_once) multiply_parts<V>(rows, k, part, part + at_once);
    });
}

// y (H, W, K) of each sample, whose weights are packed for each row of the window.
inline void convolve(const Shape& s, const float* x, const float* packed, const float* bias, float* y) {
#pragma omp parallel num_threads(s.threads())
    {
        Bordered map(s.height, s.width, s.C);
#pragma omp for
        for (int64_t n = 0; n < s.N; ++n) {
            map.fill(x + n * s.height * s.width * s.C);
            Rows rows{{}, {}, 3, 3 * s.C, s.stride * s.C, s.stride * map.row, bias, y + n * s.H * s.W * s.K, s.K,
                      s.W * s.K, s.K, s.H, s.W};
            for (int r = 0; r < 3; ++r) {
                rows.input[r] = map.values + r * map.row;
                rows.weights[r] = packed + r * 3 * s.C * s.K;
            }
            multiply_rows(rows);
        }
    }
}

inline void forward(const Shape& s, const float* x, const float* weight, const float* bias, float* y) {
    float* packed = kept(WEIGHTS, WINDOW * s.C * s.K);
    for (int64_t r = 0; r < 3; ++r)
        pack_panels(3 * s.C, s.K,
                    [&](int64_t i, int64_t k) { return weight[(k * s.C + i % s.C) * WINDOW + r * 3 + i / s.C]; },
                    packed + r * 3 * s.C * s.K);
    convolve(s, x, packed, bias, y);
}

// By stride 1 a convolution of dy with the window turned around.
inline void backward_input_by_one(const Shape& s, const float* grad, const float* weight, float* dx) {
    float* packed = kept(WEIGHTS, WINDOW * s.C * s.K);
    for (int64_t r = 0; r < 3; ++r)
        pack_panels(3 * s.K, s.C,
                    [&](int64_t i, int64_t c) { return weight[(i % s.K * s.C + c) * WINDOW + 8 - r * 3 - i / s.K]; },
                    packed + r * 3 * s.K * s.C);
    convolve({s.N, s.K, s.C, s.H, s.W, 1, s.height, s.width}, grad, packed, nullptr, dx);
}

// By stride 2, an even row (or column) of x is met by the window's middle alone, at its own place of dy; an odd one by the
// last and the first place of the window, at the dy before and behind it.
inline void backward_input_by_two(const Shape& s, const float* grad, const float* weight, float* dx) {
    const int64_t K = s.K, C = s.C, part = K * C;
    float* packed = kept(WEIGHTS, WINDOW * part);  // of each row of the window: its middle (K, C), then both ends (2 K, C)
    for (int64_t r = 0; r < 3; ++r) {
        pack_panels(K, C, [&](int64_t k, int64_t c) { return weight[(k * C + c) * WINDOW + r * 3 + 1]; }, packed + r * 3 * part);
        pack_panels(2 * K, C,
                    [&](int64_t i, int64_t c) { return weight[(i % K * C + c) * WINDOW + r * 3 + (i < K ? 2 : 0)]; },
                    packed + (r * 3 + 1) * part);
    }
#pragma omp parallel num_threads(s.threads())
    {
        Bordered map(s.H, s.W, K);
#pragma omp for
        for (int64_t n = 0; n < s.N; ++n) {
            map.fill(grad + n * s.H * s.W * K);
            const float* first = map.values + map.row + K;
            for (int64_t odd_row = 0; odd_row < 2; ++odd_row)
                for (int64_t odd = 0; odd < 2; ++odd) {
                    Rows rows{{}, {}, 0, (1 + odd) * K, K, map.row, nullptr,
                              dx + ((n * s.height + odd_row) * s.width + odd) * C, 2 * C, 2 * s.width * C, C,
                              (s.height - odd_row + 1) / 2, (s.width - odd + 1) / 2};
                    auto meet = [&](int64_t below, int64_t r) {
                        rows.input[rows.count] = first + below * map.row;
                        rows.weights[rows.count++] = packed + (r * 3 + odd) * part;
                    };
                    if (odd_row) {
                        meet(0, 2);
                        meet(1, 0);
                    } else {
                        meet(0, 1);
                    }
                    multiply_rows(rows);
                }
        }
    }
}

// Adds a block of sums to a matrix whose rows are `row` apart.
template <int ROWS, int V>
NORMLAB_INLINE void add_block(const vf (&sums)[ROWS][V], float* to, int64_t row) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            float* own = to + r * row + v * LANES;
            store(own, load(own, Full{}) + sums[r][v], Full{});
        }
}

// Adds what samples [first, last) give to total (3, 3 C, K). Sums of a few rows each: a long one would lose digits.
inline void add_backward_weights(const Shape& s, const float* x, const float* grad, int64_t first, int64_t last,
                                 float* total) {
    const int64_t length = 3 * s.C, step = s.stride * s.C;
    Bordered map(s.height, s.width, s.C);
    const int64_t some = std::clamp<int64_t>(IN_FIRST_CACHE / (s.stride * map.row + s.W * s.K), 1, s.H);
    for (int64_t n = first; n < last; ++n) {
        map.fill(x + n * s.height * s.width * s.C);
        for (int64_t start = 0; start < s.H; start += some) {
            const int64_t end = std::min(s.H, start + some);
            for (int64_t r = 0; r < 3; ++r)
                in_panels(s.K, [&]<int V>(int64_t k) {
                    in_blocks_of_rows(length, [&]<int ROWS>(int64_t i) NORMLAB_BODY {
                        vf sums[ROWS][V] = {};
                        for (int64_t row = start; row < end; ++row)
                            accumulate(sums, map.values + (row * s.stride + r) * map.row + i, 1, step,
                                       grad + (n * s.H + row) * s.W * s.K + k, s.K, s.W);
                        add_block(sums, total + (r * length + i) * s.K + k, s.K);
                    });
                });
        }
    }
}

// Sums over the samples, of `size` numbers: run(first sample, last, sums to add to) for each of their parts. Sums that fill
// the caches are kept few.
template <class Run>
const float* summed_in_parts(const Shape& s, int64_t size, Run run) {
    const int64_t parts = std::min(s.parts(), std::max<int64_t>(4, MOST_SUMS / size));
    float* totals = kept(SUMS, parts * size);
    std::fill(totals, totals + parts * size, 0.0f);
#pragma omp parallel for num_threads(std::min<int>(s.threads(), parts)) schedule(static, 1)
    for (int64_t part = 0; part < parts; ++part) run(s.N * part / parts, s.N * (part + 1) / parts, totals + part * size);
    for (int64_t part = 1; part < parts; ++part)
        for (int64_t i = 0; i < size; ++i) totals[i] += totals[part * size + i];
    return totals;
}

inline void backward_weights(const Shape& s, const float* x, const float* grad, float* dweight) {
    const float* totals = summed_in_parts(
        s, WINDOW * s.C * s.K,
        [&](int64_t first, int64_t last, float* own) { add_backward_weights(s, x, grad, first, last, own); });
    for (int64_t k = 0; k < s.K; ++k)
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t tap = 0; tap < WINDOW; ++tap)
                dweight[(k * s.C + c) * WINDOW + tap] = totals[(tap * s.C + c) * s.K + k];
}

inline void backward_bias(const Shape& s, const float* grad, float* dbias) {
    for (int64_t k = 0; k < s.K; k += LANES) {
        vf total{};
        for (int64_t i = 0; i < s.N * s.H; ++i) {  // row by row: a long sum of small numbers stays exact
            vf sum{};
            for (int64_t j = 0; j < s.W; ++j) sum += load(grad + (i * s.W + j) * s.K + k, Full{});
            total += sum;
        }
        store(dbias + k, total, Full{});
    }
}

}  // namespace float_maps

#endif
