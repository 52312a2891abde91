// 3x3 convolution of bfloat16 maps in NHWC, padded by one, stride 1 or 2, forward and backward, for CPUs that multiply
// pairs of bfloat16 (AVX512-BF16). Sums are float32; weights come in, and their gradient goes out, as float32.
//
// All three products are the same loop: broadcast a pair of values, multiply it with sixteen pairs, add. A block of
// sums stays in registers. The forward pass pairs input channels, the gradient of the input pairs output channels (by
// stride 2 it is four small convolutions, one for each parity of row and column), and the gradient of the weights
// pairs positions of a row. Maps are small, so a sample at a time is worked within the caches.
//
// Dimensions: N samples, C input channels, K output channels, H x W the output's size; a tap is one of the 9 places of
// the window. Weights (K, C, 3, 3) are packed for each call: that costs less than one sample's products.
#pragma once

#include "../runtime/scratch.h"

#ifdef __AVX512BF16__

#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace half_maps {

constexpr int LANES = 16, TAPS = 9;
constexpr int NARROW = 4, MOST_CHANNELS = 64;  // images are widened to NARROW channels: pairs are whole
constexpr int64_t WORK_PER_THREAD = 1 << 22;  // products that are worth waking a thread for

using bits = uint16_t;  // of a bfloat16

struct Problem {
    int64_t N, C, K, H, W, stride;  // H, W: of the output
    int64_t in_height, in_width;

    int64_t wide_channels() const { return C < NARROW ? NARROW : C; }
    int64_t products() const { return N * H * W * C * K * TAPS; }
};

enum Use { PACKED, BY_TAP, ROWS_OF_PAIRS, WIDENED, PADDED, PAIRED, GRAD_PAIRED, IN_TILES, TOTALS, USES };

template <class T>
T* memory(Use use, int64_t size) {
    return kept_memory<T, USES>(use, size);
}

inline __m512 load(const float* p) { return _mm512_loadu_ps(p); }
inline __m512bh pairs(const bits* p) { return (__m512bh)_mm512_loadu_si512(p); }

inline __m512bh broadcast(const bits* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

inline __m256i rounded(__m512 v) { return (__m256i)_mm512_cvtneps_pbh(v); }

// even[0], odd[0], even[1], odd[1], ...
inline __m512i interleave(__m256i even, __m256i odd) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, _mm512_inserti64x4(_mm512_castsi256_si512(even), odd, 1));
}

inline int team_size(const Problem& p) {
    const int64_t threads = omp_get_max_threads();
    return int(std::max<int64_t>(1, std::min({threads, p.products() / WORK_PER_THREAD, p.N})));
}

// 16 x 16 numbers of 32 bits, transposed.
void transpose_block(const float* from, int64_t from_step, float* to, int64_t to_step) {
    __m512 a[LANES], b[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) a[i] = _mm512_loadu_ps(from + i * from_step);
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) {
        const __m512d lo = (__m512d)b[i], hi = (__m512d)b[i + 1], lo2 = (__m512d)b[i + 2], hi2 = (__m512d)b[i + 3];
        a[i] = (__m512)_mm512_unpacklo_pd(lo, lo2);
        a[i + 1] = (__m512)_mm512_unpackhi_pd(lo, lo2);
        a[i + 2] = (__m512)_mm512_unpacklo_pd(hi, hi2);
        a[i + 3] = (__m512)_mm512_unpackhi_pd(hi, hi2);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        b[i] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
        b[i + 4] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
        b[i + 8] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
        b[i + 12] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        _mm512_storeu_ps(to + (i)*to_step, _mm512_shuffle_f32x4(b[i], b[i + 8], 0x88));
        _mm512_storeu_ps(to + (i + 4) * to_step, _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0x88));
        _mm512_storeu_ps(to + (i + 8) * to_step, _mm512_shuffle_f32x4(b[i], b[i + 8], 0xdd));
        _mm512_storeu_ps(to + (i + 12) * to_step, _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0xdd));
    }
}

// to (columns, rows) = from (rows, columns)
void transpose(const float* from, int64_t rows, int64_t columns, float* to) {
    const int64_t whole_rows = rows / LANES * LANES, whole_columns = columns / LANES * LANES;
    for (int64_t r = 0; r < whole_rows; r += LANES)
        for (int64_t c = 0; c < whole_columns; c += LANES)
            transpose_block(from + r * columns + c, columns, to + c * rows + r, rows);
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
}

// Weights for the forward pass, (9, C / 2, K, 2): pairs of input channels.
const bits* pack_forward(const Problem& p, const float* weight) {
    const int64_t half = p.wide_channels() / 2;
    float* by_tap = memory<float>(BY_TAP, p.C * TAPS * p.K);  // (C, 9, K)
    transpose(weight, p.K, p.C * TAPS, by_tap);
    bits* packed = memory<bits>(PACKED, TAPS * half * p.K * 2);
    for (int64_t c = 0; c < half; ++c)
        for (int64_t tap = 0; tap < TAPS; ++tap)
            for (int64_t k = 0; k < p.K; k += LANES) {
                __m256i of_pair[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
                for (int64_t i = 0; i < 2 && 2 * c + i < p.C; ++i)
                    of_pair[i] = rounded(load(by_tap + ((2 * c + i) * TAPS + tap) * p.K + k));
                _mm512_storeu_si512(packed + ((tap * half + c) * p.K + k) * 2, interleave(of_pair[0], of_pair[1]));
            }
    return packed;
}

// Weights for the gradient of the input, (9, K / 2, C, 2): pairs of output channels. Taps come in
// the window's order, or turned around.
const bits* pack_backward(const Problem& p, const float* weight, bool turned = false) {
    const int64_t half = p.K / 2;
    float* by_tap = memory<float>(BY_TAP, p.C * TAPS * p.K);
    transpose(weight, p.K, p.C * TAPS, by_tap);
    bits* rows = memory<bits>(ROWS_OF_PAIRS, TAPS * p.C * p.K);  // (9, C, K)
    bits* packed = memory<bits>(PACKED, TAPS * p.C * p.K);
    for (int64_t c = 0; c < p.C; ++c)
        for (int64_t tap = 0; tap < TAPS; ++tap)
            for (int64_t k = 0; k < p.K; k += LANES)
                _mm256_storeu_si256((__m256i*)(rows + (tap * p.C + c) * p.K + k),
                                    rounded(load(by_tap + (c * TAPS + tap) * p.K + k)));
    for (int64_t tap = 0; tap < TAPS; ++tap)  // a pair moves as one number of 32 bits
        transpose((const float*)(rows + tap * p.C * p.K), p.C, half,
                  (float*)(packed + (turned ? TAPS - 1 - tap : tap) * p.C * p.K));
    return packed;
}

// Where a tap finds its input, in elements from that of the block's first position, and its weights.
struct Tap {
    int64_t input;
    const bits* weights;
};

// A convolution of one sample over any taps. Steps are in elements, from a position to the next and a row to the next.
struct Pass {
    const bits* input;
    int64_t column, row;  // steps of the input
    Tap taps[TAPS];
    int count;        // of taps
    int64_t half, K;  // pairs of channels that are summed up, and channels of the output
    const float* bias;
    bits* output;
    int64_t out_column, out_row;
    int64_t height, width;
};

// ROWS x COLUMNS positions, V vectors of output channels from k on.
template <int ROWS, int COLUMNS, int V>
inline __attribute__((always_inline)) void convolve_block(const Pass& pass, int64_t k, const bits* input, bits* output) {
    __m512 sums[ROWS * COLUMNS][V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
        const __m512 start = pass.bias ? load(pass.bias + k + v * LANES) : _mm512_setzero_ps();
#pragma GCC unroll 32
        for (int i = 0; i < ROWS * COLUMNS; ++i) sums[i][v] = start;
    }
    for (int t = 0; t < pass.count; ++t) {
        const bits *x = input + pass.taps[t].input, *w = pass.taps[t].weights + 2 * k;
        for (int64_t c = 0; c < pass.half; ++c, x += 2, w += 2 * pass.K) {
            __m512bh weights[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) weights[v] = pairs(w + 2 * v * LANES);
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 32
                for (int i = 0; i < COLUMNS; ++i) {
                    const __m512bh value = broadcast(x + r * pass.row + i * pass.column);
#pragma GCC unroll 4
                    for (int v = 0; v < V; ++v)
                        sums[r * COLUMNS + i][v] = _mm512_dpbf16_ps(sums[r * COLUMNS + i][v], weights[v], value);
                }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 32
        for (int i = 0; i < COLUMNS; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v)
                _mm256_storeu_si256((__m256i*)(output + r * pass.out_row + i * pass.out_column + k + v * LANES),
                                    rounded(sums[r * COLUMNS + i][v]));
}

template <int ROWS, int COLUMNS, int V>
void convolve_rows(const Pass& pass, int64_t k, int64_t row) {
    const bits* input = pass.input + row * pass.row;
    bits* output = pass.output + row * pass.out_row;
    int64_t i = 0;
    for (; i + COLUMNS <= pass.width; i += COLUMNS)
        convolve_block<ROWS, COLUMNS, V>(pass, k, input + i * pass.column, output + i * pass.out_column);
    for (; i < pass.width; ++i)
        convolve_block<ROWS, 1, V>(pass, k, input + i * pass.column, output + i * pass.out_column);
}

template <int V>
void convolve_channels(const Pass& pass, int64_t k) {
    constexpr int POSITIONS = 16 / V;
    int64_t row = 0;
    if (pass.width < POSITIONS)
        for (; row + 2 <= pass.height; row += 2) convolve_rows<2, POSITIONS / 2, V>(pass, k, row);
    for (; row < pass.height; ++row) convolve_rows<1, POSITIONS, V>(pass, k, row);
}

void convolve(const Pass& pass) {
    int64_t k = 0;
    for (; k + 2 * LANES <= pass.K; k += 2 * LANES) convolve_channels<2>(pass, k);
    for (; k < pass.K; k += LANES) convolve_channels<1>(pass, k);
}

// A convolution of one sample by stride 1, read where it lies: what would be read outside of it is left out.
struct Window {
    const bits* weights[TAPS];  // row by row of the window
    int64_t half, K;            // as in Pass
    const float* bias;
    int64_t height, width;
};

// COLUMNS positions of a row, V vectors of output channels; the window's rows [first, last) lie within the map. Each
// value is broadcast once and meets the three taps of a row: loads would else be as many as products.
template <int COLUMNS, int V, bool LEFT, bool RIGHT>
inline __attribute__((always_inline)) void slide(const Window& window, int first, int last, int64_t k,
                                                 const bits* input, bits* output) {
    const int64_t column = 2 * window.half;
    __m512 sums[COLUMNS][V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
        const __m512 start = window.bias ? load(window.bias + k + v * LANES) : _mm512_setzero_ps();
#pragma GCC unroll 32
        for (int i = 0; i < COLUMNS; ++i) sums[i][v] = start;
    }
    for (int row = first; row < last; ++row) {
        const bits* x = input + ((row - 1) * window.width - 1) * column;
        const bits* const* w = window.weights + 3 * row;
        for (int64_t c = 0; c < window.half; ++c, x += 2) {
            __m512bh weights[3][V];
#pragma GCC unroll 3
            for (int tap = 0; tap < 3; ++tap)
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v) weights[tap][v] = pairs(w[tap] + 2 * (c * window.K + k + v * LANES));
#pragma GCC unroll 32
            for (int i = LEFT ? 1 : 0; i < COLUMNS + (RIGHT ? 1 : 2); ++i) {
                const __m512bh value = broadcast(x + i * column);
#pragma GCC unroll 3
                for (int tap = 0; tap < 3; ++tap)
                    if (i >= tap && i - tap < COLUMNS)
#pragma GCC unroll 4
                        for (int v = 0; v < V; ++v)
                            sums[i - tap][v] = _mm512_dpbf16_ps(sums[i - tap][v], weights[tap][v], value);
            }
        }
    }
#pragma GCC unroll 32
    for (int i = 0; i < COLUMNS; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v)
            _mm256_storeu_si256((__m256i*)(output + i * window.K + k + v * LANES), rounded(sums[i][v]));
}

template <int COLUMNS, int V>
void slide_rows(const Window& window, int64_t k, const bits* input, bits* output) {
    const int64_t column = 2 * window.half, last = window.width - COLUMNS;
    for (int64_t row = 0; row < window.height; ++row) {
        const int top = row ? 0 : 1, bottom = row + 1 < window.height ? 3 : 2;
        const bits* x = input + row * window.width * column;
        bits* y = output + row * window.width * window.K;
        if (!last) {
            slide<COLUMNS, V, true, true>(window, top, bottom, k, x, y);
            continue;
        }
        slide<COLUMNS, V, true, false>(window, top, bottom, k, x, y);
        for (int64_t i = COLUMNS; i < last; i += COLUMNS)
            slide<COLUMNS, V, false, false>(window, top, bottom, k, x + i * column, y + i * window.K);
        slide<COLUMNS, V, false, true>(window, top, bottom, k, x + last * column, y + last * window.K);
    }
}

// Whether a map of this width is cut into whole blocks of positions.
bool slides(int64_t width) { return width % 8 == 0; }

void slide(const Window& window, const bits* input, bits* output) {
    const bool is_wide = window.width % 16 == 0;
    int64_t k = 0;
    if (!is_wide)
        for (; k + 2 * LANES <= window.K; k += 2 * LANES) slide_rows<8, 2>(window, k, input, output);
    for (; k < window.K; k += LANES)
        is_wide ? slide_rows<16, 1>(window, k, input, output) : slide_rows<8, 1>(window, k, input, output);
}

// A map with a border of zeros on all sides; `fill` writes a sample between the borders.
struct Padded {
    int64_t height, width, channels, row;  // row: elements of a padded row
    bits* values;

    Padded(int64_t height, int64_t width, int64_t channels)
        : height(height), width(width), channels(channels), row((width + 2) * channels) {
        const int64_t size = (height + 2) * row;
        values = memory<bits>(PADDED, size);
        std::fill(values, values + size, bits{0});
    }
    void fill(const bits* map) {
        for (int64_t r = 0; r < height; ++r)
            std::memcpy(values + (r + 1) * row + channels, map + r * width * channels, width * channels * sizeof(bits));
    }
};

// Samples with as many channels as the loops want; those that have them, where they lie.
const bits* widened(const Problem& p, const bits* x, int64_t samples) {
    const int64_t count = samples * p.in_height * p.in_width, wide = p.wide_channels();
    if (wide == p.C) return x;
    bits* to = memory<bits>(WIDENED, count * wide);
    std::fill(to, to + count * wide, bits{0});
    for (int64_t c = 0; c < p.C; ++c)
        for (int64_t i = 0; i < count; ++i) to[i * wide + c] = x[i * p.C + c];
    return to;
}

void forward(const Problem& p, const bits* x, const float* weight, const float* bias, bits* y) {
    const bits* packed = pack_forward(p, weight);
    const int64_t half = p.wide_channels() / 2, sample = p.in_height * p.in_width * p.C;
    if (p.stride == 1 && slides(p.W)) {
        Window window{{}, half, p.K, bias, p.H, p.W};
        for (int t = 0; t < TAPS; ++t) window.weights[t] = packed + t * half * p.K * 2;
#pragma omp parallel for num_threads(team_size(p))
        for (int64_t n = 0; n < p.N; ++n) slide(window, widened(p, x + n * sample, 1), y + n * p.H * p.W * p.K);
        return;
    }
#pragma omp parallel num_threads(team_size(p))
    {
        Padded padded(p.in_height, p.in_width, p.wide_channels());
        Pass pass{padded.values, p.stride * padded.channels, p.stride * padded.row, {}, TAPS, half, p.K, bias,
                  nullptr, p.K, p.W * p.K, p.H, p.W};
        for (int t = 0; t < TAPS; ++t)
            pass.taps[t] = {t / 3 * padded.row + t % 3 * padded.channels, packed + t * half * p.K * 2};
#pragma omp for
        for (int64_t n = 0; n < p.N; ++n) {
            padded.fill(widened(p, x + n * sample, 1));
            pass.output = y + n * p.H * p.W * p.K;
            convolve(pass);
        }
    }
}

// The taps by which a row (or column) of the input with this parity was read: place in the window, and which row of
// the padded output gradient that read went to, counted from half the input's row.
struct Reader {
    int place;
    int64_t from;
};

std::vector<Reader> readers(int64_t stride, int64_t parity) {
    if (stride == 1) return {{2, 0}, {1, 1}, {0, 2}};
    return parity ? std::vector<Reader>{{0, 2}, {2, 1}} : std::vector<Reader>{{1, 1}};
}

void backward_input(const Problem& p, const bits* grad, const float* weight, bits* dx) {
    const bits* packed = pack_backward(p, weight);
    const int64_t sample = p.in_height * p.in_width * p.C;
    if (p.stride == 1 && slides(p.W)) {
        Window window{{}, p.K / 2, p.C, nullptr, p.H, p.W};
        for (int t = 0; t < TAPS; ++t) window.weights[t] = packed + (TAPS - 1 - t) * p.K * p.C;
#pragma omp parallel for num_threads(team_size(p))
        for (int64_t n = 0; n < p.N; ++n) slide(window, grad + n * p.H * p.W * p.K, dx + n * sample);
        return;
    }
#pragma omp parallel num_threads(team_size(p))
    {
        Padded padded(p.H, p.W, p.K);
#pragma omp for
        for (int64_t n = 0; n < p.N; ++n) {
            padded.fill(grad + n * p.H * p.W * p.K);
            for (int64_t i = 0; i < p.stride; ++i)
                for (int64_t j = 0; j < p.stride; ++j) {
                    Pass pass{padded.values, padded.channels, padded.row, {}, 0, p.K / 2, p.C, nullptr,
                              dx + n * sample + (i * p.in_width + j) * p.C, p.stride * p.C,
                              p.stride * p.in_width * p.C, (p.in_height - i + p.stride - 1) / p.stride,
                              (p.in_width - j + p.stride - 1) / p.stride};
                    for (const Reader& above : readers(p.stride, i))
                        for (const Reader& beside : readers(p.stride, j))
                            pass.taps[pass.count++] = {above.from * padded.row + beside.from * padded.channels,
                                                       packed + (above.place * 3 + beside.place) * p.K * p.C};
                    convolve(pass);
                }
        }
    }
}

// to[2 c], to[2 c + 1] = even[c], odd[c], of a number of channels that is a multiple of 16, or NARROW.
inline __attribute__((always_inline)) void pair_channels(const bits* even, const bits* odd, int64_t channels, bits* to) {
    if (channels == NARROW) {
        const __m128i a = _mm_loadl_epi64((const __m128i*)even), b = _mm_loadl_epi64((const __m128i*)odd);
        _mm_storeu_si128((__m128i*)to, _mm_unpacklo_epi16(a, b));
        return;
    }
    for (int64_t c = 0; c < channels; c += LANES)
        _mm512_storeu_si512(to + 2 * c, interleave(_mm256_loadu_si256((const __m256i*)(even + c)),
                                                   _mm256_loadu_si256((const __m256i*)(odd + c))));
}

// Pairs of positions of a row of `width`: to[i] holds positions first + 2 i step and `step` further, channel by
// channel; zero where the row has none. first >= -1.
void pair_positions(const bits* row, int64_t width, int64_t channels, int64_t first, int64_t step, int64_t count,
                    bits* to) {
    static const bits zeros[MOST_CHANNELS] = {};
    auto at = [&](int64_t position) {
        return position >= 0 && position < width ? row + position * channels : zeros;
    };
    int64_t i = 0;
    if (first < 0) {
        pair_channels(zeros, at(first + step), channels, to);
        i = 1;
    }
    const bits* even = row + (first + 2 * i * step) * channels;
    for (; i < count && first + (2 * i + 1) * step < width; ++i, even += 2 * step * channels)
        pair_channels(even, even + step * channels, channels, to + i * channels * 2);
    for (; i < count; ++i)
        pair_channels(at(first + 2 * i * step), at(first + (2 * i + 1) * step), channels, to + i * channels * 2);
}

// Where the pairs of positions of both maps are: `samples` with `rows` rows of `count` pairs each; steps in elements.
struct Pairs {
    const bits *x, *grad;
    int64_t x_step, x_row, x_map, grad_step, grad_row, grad_map;
    int64_t samples, rows, count;
};

// Sums over positions of input pairs times gradient pairs, for JOINT taps of one row of the window, which read the input
// `tap_at` further, CHANNELS input channels and V vectors of output channels; added to total (C, 9, K).
template <int JOINT, int CHANNELS, int V>
void correlate(const Pairs& pairs_of_maps, const int64_t* taps_at, float* total, int64_t K) {
    const Pairs p = pairs_of_maps;  // a copy of its own stays in registers
    int64_t tap_at[JOINT];
    std::copy(taps_at, taps_at + JOINT, tap_at);
    __m512 sums[JOINT * CHANNELS][V];
#pragma GCC unroll 16
    for (int i = 0; i < JOINT * CHANNELS; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[i][v] = _mm512_setzero_ps();
    for (int64_t n = 0; n < p.samples; ++n)
        for (int64_t r = 0; r < p.rows; ++r) {
            const bits *x = p.x + n * p.x_map + r * p.x_row, *g = p.grad + n * p.grad_map + r * p.grad_row;
            for (int64_t i = 0; i < p.count; ++i, x += p.x_step, g += p.grad_step) {
                __m512bh own[V];
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v) own[v] = pairs(g + 2 * v * LANES);
#pragma GCC unroll 3
                for (int t = 0; t < JOINT; ++t)
#pragma GCC unroll 16
                    for (int c = 0; c < CHANNELS; ++c) {
                        const __m512bh value = broadcast(x + tap_at[t] + 2 * c);
#pragma GCC unroll 4
                        for (int v = 0; v < V; ++v)
                            sums[t * CHANNELS + c][v] = _mm512_dpbf16_ps(sums[t * CHANNELS + c][v], own[v], value);
                    }
            }
        }
#pragma GCC unroll 3
    for (int t = 0; t < JOINT; ++t)
#pragma GCC unroll 16
        for (int c = 0; c < CHANNELS; ++c)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) {
                float* own = total + (c * TAPS + t) * K + v * LANES;
                _mm512_storeu_ps(own, _mm512_add_ps(load(own), sums[t * CHANNELS + c][v]));
            }
}

// A row of the window for all input channels; total is that of its first tap.
template <int V>
void correlate_row(int64_t channels, const Pairs& own, const int64_t* tap_at, float* total, int64_t K) {
    constexpr int SOME = LANES / V;
    if (channels == NARROW) return correlate<3, NARROW, V>(own, tap_at, total, K);
    for (int t = 0; t < 3; ++t) {
        Pairs some = own;
        for (int64_t c = 0; c < channels; c += SOME, some.x += 2 * SOME)
            correlate<1, SOME, V>(some, tap_at + t, total + (c * TAPS + t) * K, K);
    }
}

// The same by stride 1 for one vector of output channels, all three rows of the window at once: a value of the input
// meets the gradients of the rows above, beside and below it, where else each product would need a broadcast.
template <int CHANNELS>
void correlate_column(const Pairs& pairs_of_maps, float* total, int64_t K) {
    const Pairs p = pairs_of_maps;
    __m512 sums[CHANNELS][3];
#pragma GCC unroll 16
    for (int c = 0; c < CHANNELS; ++c)
#pragma GCC unroll 3
        for (int h = 0; h < 3; ++h) sums[c][h] = _mm512_setzero_ps();
    for (int64_t n = 0; n < p.samples; ++n)
        for (int64_t r = 0; r < p.rows; ++r) {
            const bits *x = p.x + n * p.x_map + r * p.x_row, *g = p.grad + n * p.grad_map + r * p.grad_row;
            for (int64_t i = 0; i < p.count; ++i, x += p.x_step, g += p.grad_step) {
                const __m512bh own[3] = {pairs(g + p.grad_row), pairs(g), pairs(g - p.grad_row)};
#pragma GCC unroll 16
                for (int c = 0; c < CHANNELS; ++c) {
                    const __m512bh value = broadcast(x + 2 * c);
#pragma GCC unroll 3
                    for (int h = 0; h < 3; ++h) sums[c][h] = _mm512_dpbf16_ps(sums[c][h], own[h], value);
                }
            }
        }
#pragma GCC unroll 16
    for (int c = 0; c < CHANNELS; ++c)
#pragma GCC unroll 3
        for (int h = 0; h < 3; ++h) {
            float* own = total + (c * TAPS + 3 * h) * K;
            _mm512_storeu_ps(own, _mm512_add_ps(load(own), sums[c][h]));
        }
}

// The gradient of the weights over samples [first, last), added to total (C, 9, K).
void add_weights(const Problem& p, const bits* x, const bits* grad, int64_t first, int64_t last, float* total) {
    // By stride 1 the third column of the window reads what the first one reads, a pair on. Rows of an odd width end
    // in a pair whose second position has no gradient.
    const int64_t shifts = p.stride == 1 ? 2 : 3, count = (p.W + 1) / 2, x_pairs = count + (p.stride == 1);
    const int64_t x_row = x_pairs * p.C * 2, x_shift = p.in_height * x_row, x_map = shifts * x_shift;
    const int64_t grad_row = count * p.K * 2, grad_map = (p.H + 2) * grad_row;  // between rows of zeros
    // As much as stays in the first cache while the taps pass over it: some rows of a sample, or some samples.
    const int64_t fits = 16384, row = shifts * p.stride * x_row + grad_row;
    const int64_t most_rows = std::max<int64_t>(1, fits / row), blocks = (p.H + most_rows - 1) / most_rows;
    const int64_t some_rows = (p.H + blocks - 1) / blocks, tap_at[3] = {0, x_shift, shifts == 3 ? 2 * x_shift : p.C * 2};
    const bool is_tall = p.stride == 1 && p.K == LANES;
    const int64_t some_samples = std::clamp<int64_t>(fits * 2 / (row * p.H), 1, last - first);
    bits *paired = memory<bits>(PAIRED, some_samples * x_map), *grads = memory<bits>(GRAD_PAIRED, some_samples * grad_map);
    for (int64_t i = 0; i < some_samples; ++i)
        for (int64_t r = 0; r < p.H + 2; r += p.H + 1)
            std::fill_n(grads + i * grad_map + r * grad_row, grad_row, bits{0});
    for (int64_t n = first; n < last; n += some_samples) {
        const int64_t samples = std::min(some_samples, last - n);
        for (int64_t i = 0; i < samples; ++i) {
            for (int64_t r = 0; r < p.in_height; ++r)
                for (int64_t s = 0; s < shifts; ++s)
                    pair_positions(x + ((n + i) * p.in_height + r) * p.in_width * p.C, p.in_width, p.C, s - 1, p.stride,
                                   x_pairs, paired + i * x_map + s * x_shift + r * x_row);
            for (int64_t r = 0; r < p.H; ++r)
                pair_positions(grad + ((n + i) * p.H + r) * p.W * p.K, p.W, p.K, 0, 1, count,
                               grads + i * grad_map + (r + 1) * grad_row);
        }
        for (int64_t start = 0; start < p.H && is_tall; start += some_rows) {
            Pairs own{paired + start * x_row, grads + (start + 1) * grad_row, p.C * 2, x_row, x_map, p.K * 2, grad_row,
                      grad_map, samples, std::min(some_rows, p.H - start), count};
            for (int t = 0; t < 3; ++t)
                for (int64_t c = 0; c < p.C; c += p.C == NARROW ? NARROW : 8) {
                    own.x = paired + start * x_row + tap_at[t] + 2 * c;
                    float* own_total = total + (c * TAPS + t) * p.K;
                    p.C == NARROW ? correlate_column<NARROW>(own, own_total, p.K) : correlate_column<8>(own, own_total, p.K);
                }
        }
        for (int64_t start = 0; start < p.H && !is_tall; start += some_rows)
            for (int64_t above = -1; above <= 1; ++above) {
                // Rows whose window's row lies within the map: 0 <= stride r + above < in_height.
                const int64_t begin = std::max<int64_t>(start, above < 0 ? 1 : 0);
                const int64_t end = std::min({start + some_rows, p.H, (p.in_height + p.stride - 1 - above) / p.stride});
                if (begin >= end) continue;
                Pairs own{paired + (begin * p.stride + above) * x_row, grads + (begin + 1) * grad_row, p.C * 2,
                          p.stride * x_row, x_map, p.K * 2, grad_row, grad_map, samples, end - begin, count};
                float* row_total = total + (above + 1) * 3 * p.K;
                int64_t k = 0;
                for (; k + 2 * LANES <= p.K && p.C > NARROW; k += 2 * LANES, own.grad += 4 * LANES)
                    correlate_row<2>(p.C, own, tap_at, row_total + k, p.K);
                for (; k < p.K; k += LANES, own.grad += 2 * LANES)
                    correlate_row<1>(p.C, own, tap_at, row_total + k, p.K);
            }
    }
}

// Sums over the samples, (C, 9, K) in an order of the caller's: add(first, last, total) adds those of samples [first, last).
template <class Add>
float* sum_of_threads(const Problem& p, int64_t C, Add add) {
    const int64_t size = C * TAPS * p.K;
    const int threads = team_size(p);
    float* totals = memory<float>(TOTALS, threads * size);
    std::fill(totals, totals + threads * size, 0.0f);
#pragma omp parallel num_threads(threads)
    {
        const int64_t thread = omp_get_thread_num();
        add(p.N * thread / threads, p.N * (thread + 1) / threads, totals + thread * size);
    }
    for (int64_t t = 1; t < threads; ++t)
        for (int64_t i = 0; i < size; ++i) totals[i] += totals[t * size + i];
    return totals;
}

void backward_weights(const Problem& given, const bits* x, const bits* grad, float* dweight) {
    x = widened(given, x, given.N);
    Problem p = given;
    p.C = given.wide_channels();
    const float* totals = sum_of_threads(
        p, p.C, [&](int64_t first, int64_t last, float* total) { add_weights(p, x, grad, first, last, total); });
    transpose(totals, given.C * TAPS, p.K, dweight);
}

void backward_bias(const Problem& p, const bits* grad, float* dbias) {
    for (int64_t k = 0; k < p.K; k += LANES) {
        __m512 total = _mm512_setzero_ps();
        for (int64_t i = 0; i < p.N * p.H; ++i) {  // row by row: a long sum of small numbers stays exact
            __m512 sum = _mm512_setzero_ps();
            for (int64_t j = 0; j < p.W; ++j) {
                const __m256i half = _mm256_loadu_si256((const __m256i*)(grad + (i * p.W + j) * p.K + k));
                sum = _mm512_add_ps(sum, (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
            }
            total = _mm512_add_ps(total, sum);
        }
        _mm512_storeu_ps(dbias + k, total);
    }
}

Problem problem(int64_t N, int64_t C, int64_t K, int64_t in_height, int64_t in_width, int64_t stride) {
    return {N, C, K, (in_height - 1) / stride + 1, (in_width - 1) / stride + 1, stride, in_height, in_width};
}

}  // namespace half_maps

#endif
