// 3x3 convolution of float32 maps in NHWC, padded by one, stride 1, with fewer products than its definition has (Winograd
// 1980; Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, 2016): F(m x m, 3 x 3) gives a tile of m x m
// outputs by (m + 2)^2 products of transformed inputs and weights, 16 instead of 36 for m = 2, 36 instead of 144 for 4.
//
//     output              y = A' [sum over c of (G w G') * (B' x B)] A         x: (m + 2)^2 inputs, w: 3 x 3 weights
//     gradient of x       the same with the window turned around
//     gradient of w       dw = G' [sum over tiles of (B' x B) * (A dy A')] G   dy: m x m gradients
//
// The sums, for all channels, are matrix products of (tiles, C) and (C, K), one for each place of a transformed tile. A
// block of tiles passes through all three steps within the caches.
//
// Dimensions as in conv_float32.h. A map whose size is no multiple of m has tiles that stand over its edge.
#pragma once

#include "conv_float32.h"

#ifdef NORMLAB_PRODUCTS

namespace float_maps {

// The transforms along one side of a tile, by the points 0, 1, -1 and infinity. All their numbers are 0, 1 and 1/2: rounding
// differs little from that of the definition.
struct ByTwo {
    static constexpr int SIZE = 2, SIDE = 4;

    NORMLAB_INLINE static void inputs(const vf (&x)[SIDE], vf (&to)[SIDE]) {  // B'
        to[0] = x[0] - x[2];
        to[1] = x[1] + x[2];
        to[2] = x[2] - x[1];
        to[3] = x[1] - x[3];
    }
    NORMLAB_INLINE static void weights(const vf (&w)[3], vf (&to)[SIDE]) {  // G
        const vf ends = 0.5f * (w[0] + w[2]), middle = 0.5f * w[1];
        to[0] = w[0];
        to[1] = ends + middle;
        to[2] = ends - middle;
        to[3] = w[2];
    }
    NORMLAB_INLINE static void outputs(const vf (&sums)[SIDE], vf (&y)[SIZE]) {  // A'
        y[0] = sums[0] + sums[1] + sums[2];
        y[1] = sums[1] - sums[2] - sums[3];
    }
    NORMLAB_INLINE static void gradients(const vf (&y)[SIZE], vf (&to)[SIDE]) {  // A
        to[0] = y[0];
        to[1] = y[0] + y[1];
        to[2] = y[0] - y[1];
        to[3] = -y[1];
    }
    NORMLAB_INLINE static void back(const vf (&sums)[SIDE], vf (&w)[3]) {  // G'
        const vf even = 0.5f * (sums[1] + sums[2]);
        w[0] = sums[0] + even;
        w[1] = 0.5f * (sums[1] - sums[2]);
        w[2] = even + sums[3];
    }
};

// The same by the points 0, 1, -1, 2, -2 and infinity: fewer products yet, and up to ten times the rounding.
struct ByFour {
    static constexpr int SIZE = 4, SIDE = 6;

    NORMLAB_INLINE static void inputs(const vf (&x)[SIDE], vf (&to)[SIDE]) {
        const vf even = x[4] - 4.0f * x[2], odd = x[3] - 4.0f * x[1], far_even = x[4] - x[2], far_odd = 2.0f * (x[3] - x[1]);
        to[0] = 4.0f * x[0] - 5.0f * x[2] + x[4];
        to[1] = even + odd;
        to[2] = even - odd;
        to[3] = far_even + far_odd;
        to[4] = far_even - far_odd;
        to[5] = 4.0f * x[1] - 5.0f * x[3] + x[5];
    }
    NORMLAB_INLINE static void weights(const vf (&w)[3], vf (&to)[SIDE]) {
        const vf ends = (-1.0f / 6) * (w[0] + w[2]), middle = (1.0f / 6) * w[1];
        const vf far_ends = (1.0f / 24) * w[0] + (1.0f / 6) * w[2], far_middle = (1.0f / 12) * w[1];
        to[0] = 0.25f * w[0];
        to[1] = ends - middle;
        to[2] = ends + middle;
        to[3] = far_ends + far_middle;
        to[4] = far_ends - far_middle;
        to[5] = w[2];
    }
    NORMLAB_INLINE static void outputs(const vf (&sums)[SIDE], vf (&y)[SIZE]) {
        const vf even = sums[1] + sums[2], odd = sums[1] - sums[2], far_even = sums[3] + sums[4],
                 far_odd = sums[3] - sums[4];
        y[0] = sums[0] + even + far_even;
        y[1] = odd + 2.0f * far_odd;
        y[2] = even + 4.0f * far_even;
        y[3] = odd + 8.0f * far_odd + sums[5];
    }
    NORMLAB_INLINE static void gradients(const vf (&y)[SIZE], vf (&to)[SIDE]) {
        const vf even = y[0] + y[2], odd = y[1] + y[3], far_even = y[0] + 4.0f * y[2], far_odd = 2.0f * y[1] + 8.0f * y[3];
        to[0] = y[0];
        to[1] = even + odd;
        to[2] = even - odd;
        to[3] = far_even + far_odd;
        to[4] = far_even - far_odd;
        to[5] = y[3];
    }
    NORMLAB_INLINE static void back(const vf (&sums)[SIDE], vf (&w)[3]) {
        const vf near = (1.0f / 6) * (sums[1] + sums[2]), far = sums[3] + sums[4];
        w[0] = 0.25f * sums[0] - near + (1.0f / 24) * far;
        w[1] = (1.0f / 6) * (sums[2] - sums[1]) + (1.0f / 12) * (sums[3] - sums[4]);
        w[2] = (1.0f / 6) * far - near + sums[5];
    }
};

// to (OUT, OUT) = a transform of the columns of `from` (IN, IN), then of its rows.
template <int IN, int OUT, class Transform>
NORMLAB_INLINE void on_both_sides(Transform transform, const vf (&from)[IN][IN], vf (&to)[OUT][OUT]) {
    vf half[IN][OUT];  // columns, transformed
#pragma GCC unroll 6
    for (int j = 0; j < IN; ++j) {
        vf column[IN];
#pragma GCC unroll 6
        for (int i = 0; i < IN; ++i) column[i] = from[i][j];
        transform(column, half[j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < OUT; ++i) {
        vf row[IN];
#pragma GCC unroll 6
        for (int j = 0; j < IN; ++j) row[j] = half[j][i];
        transform(row, to[i]);
    }
}

struct Corner {
    int64_t sample, row, column;  // of a tile's first output
};

// The tiles of some samples, one after the other.
template <class By>
struct Tiles {
    static constexpr int PLACES = By::SIDE * By::SIDE;

    int64_t height, width;  // of the maps

    int64_t rows() const { return (height + By::SIZE - 1) / By::SIZE; }
    int64_t columns() const { return (width + By::SIZE - 1) / By::SIZE; }
    int64_t of_a_map() const { return rows() * columns(); }

    // Calls run(number from 0, corner) for tiles [first, last).
    template <class Run>
    NORMLAB_INLINE void each(int64_t first, int64_t last, Run run) const {
        const int64_t within = first % of_a_map();
        Corner corner{first / of_a_map(), within / columns() * By::SIZE, within % columns() * By::SIZE};
        for (int64_t t = 0; t < last - first; ++t) {
            run(t, corner);
            if ((corner.column += By::SIZE) < width) continue;
            corner.column = 0;
            if ((corner.row += By::SIZE) < height) continue;
            corner.row = 0;
            ++corner.sample;
        }
    }
    // Whether SIDE x SIDE positions from (row, column) on lie within a map.
    template <int SIDE>
    bool holds(int64_t row, int64_t column) const {
        return row >= 0 && column >= 0 && row + SIDE <= height && column + SIDE <= width;
    }
};

constexpr int64_t LINE = 16;  // numbers of a cache line
constexpr int64_t MOST_CHANNELS_IN_TILES = 256;  // of more nothing has been measured

// Numbers from one place's transforms of some tiles to the next place's: not a multiple of 4096 bytes, or their cache lines
// would drive each other out.
inline int64_t part_size(int64_t tiles, int64_t channels) { return tiles * channels + LINE; }

// Tiles whose transforms of C + K channels fill half of a second-level cache, but so many that the weights are read from a
// farther one seldom; a multiple of the rows of all blocks of sums.
template <class By>
int64_t tiles_at_once(int64_t channels) {
    return std::clamp<int64_t>(49152 / Tiles<By>::PLACES / channels / 24, channels > 384 ? 4 : 2, 8) * 24;
}

alignas(64) const float OUTSIDE[MOST_CHANNELS_IN_TILES] = {};  // the channels of a place outside the map

// Writes a transform of SIDE x SIDE positions of each of tiles [first, last) to `to` (places, tiles, channels). They begin
// `before` rows and columns before the tile's first output; those outside the map are zero.
template <class By, int SIDE, class Transform>
void transform_tiles(const Tiles<By>& tiles, const float* maps, int64_t channels, int64_t before, int64_t first,
                     int64_t last, Transform transform, float* to) {
    const int64_t part = part_size(last - first, channels), row = tiles.width * channels, map = tiles.height * row;
    tiles.each(first, last, [&](int64_t t, const Corner& corner) NORMLAB_BODY {
        const int64_t top = corner.row - before, left = corner.column - before;
        const float* from = maps + corner.sample * map + top * row + left * channels;
        float* out = to + t * channels;
        auto put = [&](int64_t c, auto at) NORMLAB_BODY {
            vf values[SIDE][SIDE], transformed[By::SIDE][By::SIDE];
#pragma GCC unroll 6
            for (int i = 0; i < SIDE; ++i)
#pragma GCC unroll 6
                for (int j = 0; j < SIDE; ++j) values[i][j] = load(at(i, j) + c, Full{});
            on_both_sides(transform, values, transformed);
#pragma GCC unroll 6
            for (int i = 0; i < By::SIDE; ++i)
#pragma GCC unroll 6
                for (int j = 0; j < By::SIDE; ++j)
                    store(out + (i * By::SIDE + j) * part + c, transformed[i][j], Full{});
        };
        if (tiles.template holds<SIDE>(top, left)) {
            for (int64_t c = 0; c < channels; c += LANES)
                put(c, [&](int i, int j) NORMLAB_BODY { return from + i * row + j * channels; });
            return;
        }
        const float* places[SIDE][SIDE];
        for (int64_t i = 0; i < SIDE; ++i)
            for (int64_t j = 0; j < SIDE; ++j)
                places[i][j] = tiles.template holds<1>(top + i, left + j) ? from + i * row + j * channels : OUTSIDE;
        for (int64_t c = 0; c < channels; c += LANES)
            put(c, [&](int i, int j) NORMLAB_BODY { return places[i][j]; });
    });
}

template <class By>
void transform_inputs(const Tiles<By>& tiles, const float* maps, int64_t C, int64_t first, int64_t last, float* to) {
    auto transform = [](const auto& x, auto& places) NORMLAB_BODY { By::inputs(x, places); };
    transform_tiles<By, By::SIDE>(tiles, maps, C, 1, first, last, transform, to);
}

template <class By>
void transform_gradients(const Tiles<By>& tiles, const float* grads, int64_t K, int64_t first, int64_t last, float* to) {
    auto transform = [](const auto& y, auto& places) NORMLAB_BODY { By::gradients(y, places); };
    transform_tiles<By, By::SIZE>(tiles, grads, K, 0, first, last, transform, to);
}

// The outputs of tiles [first, last), from `sums` (places, tiles, K) and a bias or null, to maps (., H, W, K).
template <class By>
void transform_outputs(const Tiles<By>& tiles, const float* sums, int64_t K, const float* bias, int64_t first,
                       int64_t last, float* maps) {
    const int64_t part = part_size(last - first, K), row = tiles.width * K, map = tiles.height * row;
    tiles.each(first, last, [&](int64_t t, const Corner& corner) NORMLAB_BODY {
        float* to = maps + corner.sample * map + corner.row * row + corner.column * K;
        const int64_t height = std::min<int64_t>(By::SIZE, tiles.height - corner.row),
                      width = std::min<int64_t>(By::SIZE, tiles.width - corner.column);
        for (int64_t k = 0; k < K; k += LANES) {
            vf places[By::SIDE][By::SIDE], y[By::SIZE][By::SIZE];
#pragma GCC unroll 6
            for (int i = 0; i < By::SIDE; ++i)
#pragma GCC unroll 6
                for (int j = 0; j < By::SIDE; ++j)
                    places[i][j] = load(sums + (i * By::SIDE + j) * part + t * K + k, Full{});
            on_both_sides([](const auto& all, auto& some) NORMLAB_BODY { By::outputs(all, some); }, places, y);
            const vf start = bias ? load(bias + k, Full{}) : vf{};
#pragma GCC unroll 4
            for (int i = 0; i < By::SIZE; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < By::SIZE; ++j)
                    if (i < height && j < width) store(to + i * row + j * K + k, y[i][j] + start, Full{});
        }
    });
}

// The transforms of weights `at(tap, row, column)`, packed for products: a matrix (rows, columns) for each place.
template <class By, class At>
const float* transform_weights(int64_t rows, int64_t columns, At at) {
    constexpr int PLACES = Tiles<By>::PLACES;
    const int64_t part = rows * columns, packed_part = packed_size(rows, columns);
    float *by_tap = kept(BY_TAP, WINDOW * part), *packed = kept(WEIGHTS, PLACES * packed_part), *panel = packed;
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < columns; ++k)
            for (int64_t tap = 0; tap < WINDOW; ++tap) by_tap[tap * part + r * columns + k] = at(tap, r, k);
    auto put = [&](const float* from, float* to) NORMLAB_BODY {
        vf taps[3][3], places[By::SIDE][By::SIDE];
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i)
#pragma GCC unroll 3
            for (int j = 0; j < 3; ++j) taps[i][j] = load(from + (3 * i + j) * part, Full{});
        on_both_sides([](const auto& w, auto& all) NORMLAB_BODY { By::weights(w, all); }, taps, places);
#pragma GCC unroll 6
        for (int i = 0; i < By::SIDE; ++i)
#pragma GCC unroll 6
            for (int j = 0; j < By::SIDE; ++j) store(to + (i * By::SIDE + j) * packed_part, places[i][j], Full{});
    };
    for (int64_t k = 0, width; k < columns; k += width, panel += rows * width) {  // as `pack` lays them out
        width = panel_vectors(vectors_of(columns - k)) * LANES;
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t v = 0; v < width; v += LANES) put(by_tap + r * columns + k + v, panel + r * width + v);
    }
    return packed;
}

// y (N, H, W, K) of maps (N, H, W, C) and packed transformed weights.
template <class By>
void convolve_tiles(const Shape& s, const float* x, const float* packed, const float* bias, float* y) {
    const Tiles<By> tiles{s.H, s.W};
    const int64_t all = s.N * tiles.of_a_map(), at_once = tiles_at_once<By>(s.C + s.K), weights = packed_size(s.C, s.K);
#pragma omp parallel for num_threads(s.threads()) schedule(static)
    for (int64_t first = 0; first < all; first += at_once) {
        const int64_t last = std::min(all, first + at_once), count = last - first;
        const int64_t inputs_part = part_size(count, s.C), sums_part = part_size(count, s.K);
        float *inputs = kept(INPUTS, tiles.PLACES * part_size(at_once, s.C)),
              *sums = kept(PRODUCTS, tiles.PLACES * part_size(at_once, s.K));
        transform_inputs(tiles, x, s.C, first, last, inputs);
        for (int64_t p = 0; p < tiles.PLACES; ++p)
            multiply(inputs + p * inputs_part, s.C, 1, count, packed + p * weights, s.C, s.K, sums + p * sums_part, s.K,
                     false);
        transform_outputs(tiles, sums, s.K, bias, first, last, y);
    }
}

template <class By>
void forward_by_tiles(const Shape& s, const float* x, const float* weight, const float* bias, float* y) {
    const float* packed = transform_weights<By>(
        s.C, s.K, [&](int64_t tap, int64_t c, int64_t k) { return weight[(k * s.C + c) * WINDOW + tap]; });
    convolve_tiles<By>(s, x, packed, bias, y);
}

template <class By>
void backward_input_by_tiles(const Shape& s, const float* grad, const float* weight, float* dx) {
    const float* packed = transform_weights<By>(
        s.K, s.C, [&](int64_t tap, int64_t k, int64_t c) { return weight[(k * s.C + c) * WINDOW + 8 - tap]; });
    convolve_tiles<By>({s.N, s.K, s.C, s.H, s.W, 1, s.H, s.W}, grad, packed, nullptr, dx);
}

// Adds (B' x B) * (A dy A'), summed over the tiles of samples [from, to), to total (places, C, K).
template <class By>
void correlate_tiles(const Shape& s, const float* x, const float* grad, int64_t from, int64_t to, float* total) {
    const Tiles<By> tiles{s.H, s.W};
    const int64_t end = to * tiles.of_a_map(), at_once = tiles_at_once<By>(s.C + s.K);
    float *inputs = kept(INPUTS, tiles.PLACES * part_size(at_once, s.C)),
          *grads = kept(PRODUCTS, tiles.PLACES * part_size(at_once, s.K));
    for (int64_t first = from * tiles.of_a_map(); first < end; first += at_once) {
        const int64_t last = std::min(end, first + at_once), count = last - first;
        const int64_t inputs_part = part_size(count, s.C), grads_part = part_size(count, s.K);
        transform_inputs(tiles, x, s.C, first, last, inputs);
        transform_gradients(tiles, grad, s.K, first, last, grads);
        for (int64_t p = 0; p < tiles.PLACES; ++p)
            in_panels(s.K, [&]<int V>(int64_t k) {
                in_blocks_of_rows(s.C, [&]<int ROWS>(int64_t c) NORMLAB_BODY {
                    vf sums[ROWS][V] = {};
                    accumulate(sums, inputs + p * inputs_part + c, 1, s.C, grads + p * grads_part + k, s.K, count);
                    add_block(sums, total + (p * s.C + c) * s.K + k, s.K);
                });
            });
    }
}

// dweight (K, C, 3, 3) of total (places, C, K).
template <class By>
void transform_back(const Shape& s, const float* total, float* dweight) {
    for (int64_t c = 0; c < s.C; ++c)
        for (int64_t k = 0; k < s.K; k += LANES) {
            vf places[By::SIDE][By::SIDE], taps[3][3];
#pragma GCC unroll 6
            for (int i = 0; i < By::SIDE; ++i)
#pragma GCC unroll 6
                for (int j = 0; j < By::SIDE; ++j)
                    places[i][j] = load(total + ((i * By::SIDE + j) * s.C + c) * s.K + k, Full{});
            on_both_sides([](const auto& all, auto& w) NORMLAB_BODY { By::back(all, w); }, places, taps);
            for (int64_t lane = 0; lane < LANES; ++lane)
                for (int64_t tap = 0; tap < WINDOW; ++tap)
                    dweight[((k + lane) * s.C + c) * WINDOW + tap] = taps[tap / 3][tap % 3][lane];
        }
}

template <class By>
void backward_weights_by_tiles(const Shape& s, const float* x, const float* grad, float* dweight) {
    const float* total = summed_in_parts(
        s, Tiles<By>::PLACES * s.C * s.K,
        [&](int64_t from, int64_t to, float* own) { correlate_tiles<By>(s, x, grad, from, to, own); });
    transform_back<By>(s, total, dweight);
}

// How a convolution is worked: by its definition (1), or in tiles of 2 x 2 or 4 x 4 outputs. Images have too few channels to
// fill a vector; tiles of four that stand over the edge of a small map compute more than those of two.
inline int tile_size(const Shape& s) {
    if (s.stride != 1 || s.C % LANES || std::max(s.C, s.K) > MOST_CHANNELS_IN_TILES) return 1;
    const Tiles<ByTwo> two{s.H, s.W};
    const Tiles<ByFour> four{s.H, s.W};
    return four.of_a_map() * four.PLACES < two.of_a_map() * two.PLACES ? 4 : 2;
}

}  // namespace float_maps

#endif
