// The convolution of conv_bfloat16.h for CPUs that multiply tiles of bfloat16 (AMX): 16 x 32 numbers by 32 x 16 in one
// instruction, sums in float32.
//
//     forward             positions x (3 taps of a row, C)  by  (3 taps, C) x K
//     gradient of x       the same of the output's gradient, with the window turned around
//     gradient of w       K x positions  by  positions x C, once for each tap (conv_tiles_weights.h)
//
// A map lies in a frame of zeros, row after row without a gap: the positions of all its rows are then one run, a tap reads
// the same run a little further, and its channels follow those of the tap before. The two or one positions of the frame
// that a row's run has are computed with it and thrown away. By stride 2, rows (and for the gradient of w columns) of one
// parity lie together.
#pragma once

#include "conv_bfloat16.h"

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#define NORMLAB_TILES 1

#include <sys/syscall.h>
#include <unistd.h>

namespace tiled_maps {

using half_maps::bits, half_maps::LANES, half_maps::TAPS, half_maps::Problem, half_maps::Reader;
using half_maps::interleave, half_maps::load, half_maps::memory, half_maps::NARROW, half_maps::pair_channels;
using half_maps::rounded, half_maps::transpose_block;
using half_maps::GRAD_PAIRED, half_maps::IN_TILES, half_maps::PADDED, half_maps::PAIRED;

constexpr int64_t SIDE = 16, PAIRS = 16;  // rows of a tile, and pairs of bfloat16 (or sums) in a row of it
constexpr int64_t TILE = SIDE * SIDE;     // sums of a tile
constexpr int64_t MOST_CHANNELS = 256;    // of more nothing has been measured
constexpr int64_t GROUP = 4;              // tiles of positions that meet one tile of weights

// Whether the kernel lets this process use tiles: it keeps 8 KB a thread for them, and wants to be asked.
inline bool are_allowed() {
    constexpr int REQUEST = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    static const bool allowed = syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
    return allowed;
}

inline bool& are_wanted() {
    static bool wanted = true;
    return wanted;
}

inline bool are_used() { return are_wanted() && are_allowed(); }

struct Size {
    int64_t rows, pairs;
};

// The sizes of the eight tiles of this thread, until it goes; other libraries set their own before they multiply.
class Tiles {
   public:
    explicit Tiles(std::initializer_list<Size> sizes) {
        struct alignas(64) {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t row_bytes[16] = {};
            uint8_t rows[16] = {};
        } settings;
        int tile = 0;
        for (const Size& size : sizes) {
            settings.rows[tile] = uint8_t(size.rows);
            settings.row_bytes[tile++] = uint16_t(4 * size.pairs);
        }
        _tile_loadconfig(&settings);
    }
    ~Tiles() { _tile_release(); }
    Tiles(const Tiles&) = delete;
};

// Maps in frames: `planes` of `rows` rows of `width` positions with `channels` channels, one behind the other.
struct Frame {
    int64_t planes, rows, width, channels;

    int64_t row() const { return width * channels; }
    int64_t plane() const { return rows * row(); }
    int64_t size() const { return planes * plane(); }
};

// Copies a row of a map, whose channels may be fewer than the frame's.
inline void copy_row(const bits* from, int64_t positions, int64_t channels, bits* to, int64_t to_channels) {
    if (channels == to_channels) {
        std::memcpy(to, from, positions * channels * sizeof(bits));
        return;
    }
    for (int64_t i = 0; i < positions; ++i)
        for (int64_t c = 0; c < channels; ++c) to[i * to_channels + c] = from[i * channels + c];
}

// Weights in the order in which tiles are read: for 16 output channels after the other, every pair of numbers that is summed
// up, 16 channels wide.
class Packed {
   public:
    // Room for `pairs` in all.
    Packed(int64_t pairs, int64_t channels)
        : pairs_(pairs), channels_(channels), values_(memory<bits>(IN_TILES, pairs * 2 * whole(channels))) {}

    static int64_t whole(int64_t channels) { return (channels + LANES - 1) / LANES * LANES; }

    const bits* at(int64_t pair, int64_t channel) const { return values_ + (channel * pairs_ + pair * LANES) * 2; }

    // Takes weights (count, channels, 2) as the pairs from `pair` on.
    void put(int64_t pair, int64_t count, const bits* weights) {
        for (int64_t c = 0; c < channels_; c += LANES) {
            bits* to = values_ + (c * pairs_ + pair * LANES) * 2;
            const __mmask16 mask = some(channels_ - c);
            for (int64_t i = 0; i < count; ++i)
                _mm512_storeu_si512(to + 2 * i * LANES, _mm512_maskz_loadu_epi32(mask, weights + (i * channels_ + c) * 2));
        }
    }

    // A bit for each of the first LANES of `count` channels.
    static __mmask16 some(int64_t count) { return count >= LANES ? 0xffff : (1 << count) - 1; }

   private:
    int64_t pairs_, channels_;
    bits* values_;
};

// Where a run of neighbouring positions finds its input, in elements from the frame's first, and which pair of the weights
// is its first.
struct Run {
    int64_t input, pair;
};

// Positions of one sample in a frame, all of them multiplied by the same runs of weights.
struct Product {
    Run runs[TAPS];
    int count;             // of runs
    int64_t pairs;         // of numbers that a run sums up
    int64_t column;        // elements from a position to the next
    int64_t width;         // positions of a row with its frame
    int64_t K;             // channels of the output
    const Packed* weights;
    const float* bias;     // or null
    int64_t out_column, out_row, out_height, out_width;  // the output: steps in elements, and its size

    Tiles tiles() const {
        const int64_t rest = std::max<int64_t>(1, pairs % PAIRS);
        const Size full{SIDE, PAIRS};
        return Tiles{full, full, full, full, full, {SIDE, rest}, full, {rest, PAIRS}};
    }
};

// Adds a tile's worth of products for up to GROUP tiles of positions; A and B name the tiles for positions and weights.
#define NORMLAB_ADD_PRODUCTS(A, B)                                     \
    do {                                                               \
        _tile_loadd(B, weights, 4 * PAIRS);                            \
        _tile_loadd(A, input, step);                                   \
        _tile_dpbf16ps(0, A, B);                                       \
        if (count > 1) {                                               \
            _tile_loadd(A, input + SIDE * product.column, step);       \
            _tile_dpbf16ps(1, A, B);                                   \
        }                                                              \
        if (count > 2) {                                               \
            _tile_loadd(A, input + 2 * SIDE * product.column, step);   \
            _tile_dpbf16ps(2, A, B);                                   \
        }                                                              \
        if (count > 3) {                                               \
            _tile_loadd(A, input + 3 * SIDE * product.column, step);   \
            _tile_dpbf16ps(3, A, B);                                   \
        }                                                              \
    } while (false)

// sums (count * 16, 16) of the positions from `frame` on, for output channels [k, k + 16).
inline void multiply(const Product& product, const bits* frame, int64_t count, int64_t k, float* sums) {
    const int64_t step = product.column * sizeof(bits);
    const int64_t whole = product.pairs / PAIRS, rest = product.pairs % PAIRS;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int r = 0; r < product.count; ++r) {
        const bits *input = frame + product.runs[r].input, *weights = product.weights->at(product.runs[r].pair, k);
        for (int64_t i = 0; i < whole; ++i, input += 2 * PAIRS, weights += 2 * PAIRS * LANES)
            NORMLAB_ADD_PRODUCTS(4, 6);
        if (rest) NORMLAB_ADD_PRODUCTS(5, 7);
    }
    _tile_stored(0, sums, SIDE * sizeof(float));
    if (count > 1) _tile_stored(1, sums + TILE, SIDE * sizeof(float));
    if (count > 2) _tile_stored(2, sums + 2 * TILE, SIDE * sizeof(float));
    if (count > 3) _tile_stored(3, sums + 3 * TILE, SIDE * sizeof(float));
}

#undef NORMLAB_ADD_PRODUCTS

// The output of one sample in its frame.
inline void multiply(const Product& product, const bits* frame, bits* output) {
    alignas(64) float sums[GROUP * TILE];
    const int64_t positions = (product.out_height - 1) * product.width + product.out_width;
    for (int64_t first = 0; first < positions; first += GROUP * SIDE) {
        const int64_t some = std::min(GROUP * SIDE, positions - first), count = (some + SIDE - 1) / SIDE;
        for (int64_t k = 0; k < product.K; k += LANES) {
            multiply(product, frame + first * product.column, count, k, sums);
            const __mmask16 mask = Packed::some(product.K - k);
            const __m512 bias = product.bias ? load(product.bias + k) : _mm512_setzero_ps();
            int64_t row = first / product.width, column = first % product.width;
            for (int64_t i = 0; i < some; column = 0, ++row) {
                const int64_t end = std::min(some, i + product.width - column);
                const int64_t last = std::min(end, i + product.out_width - column);  // beyond it is the frame
                bits* to = output + row * product.out_row + column * product.out_column + k;
                for (int64_t j = i; j < last; ++j, to += product.out_column)
                    _mm256_mask_storeu_epi16(to, mask, rounded(_mm512_add_ps(load(sums + j * SIDE), bias)));
                i = end;
            }
        }
    }
}

// Zeros for a frame and for what is read behind it.
inline bits* empty_frame(const Frame& frame, int64_t column) {
    const int64_t size = frame.size() + SIDE * column + TAPS * frame.channels;
    bits* values = memory<bits>(PADDED, size);
    std::fill_n(values, size, bits{0});
    return values;
}

void forward(const Problem& p, const bits* x, const float* weight, const float* bias, bits* y) {
    const int64_t C = p.wide_channels(), ends = p.stride == 1 ? 2 : 1, s = p.stride;
    Packed packed(TAPS * C / 2, p.K);
    packed.put(0, TAPS * C / 2, half_maps::pack_forward(p, weight));
    const Frame frame{s, p.H + ends, s * (p.W + ends), C};  // planes: rows of each parity
    Product product{{}, 3, 3 * C / 2, s * C, p.W + ends, p.K, &packed, bias, p.K, p.W * p.K, p.H, p.W};
    for (int r = 0; r < 3; ++r) product.runs[r] = {r % s * frame.plane() + r / s * frame.row(), r * product.pairs};
#pragma omp parallel num_threads(half_maps::team_size(p))
    {
        const Tiles tiles = product.tiles();
        bits* values = empty_frame(frame, product.column);
#pragma omp for
        for (int64_t n = 0; n < p.N; ++n) {
            for (int64_t r = 0; r < p.in_height; ++r)
                copy_row(x + (n * p.in_height + r) * p.in_width * p.C, p.in_width, p.C,
                         values + (r + 1) % s * frame.plane() + (r + 1) / s * frame.row() + C, C);
            multiply(product, values, y + n * p.H * p.W * p.K);
        }
    }
}

void backward_input(const Problem& p, const bits* grad, const float* weight, bits* dx) {
    const int64_t s = p.stride, pairs = p.K / 2;  // of a tap
    Packed packed(TAPS * pairs, p.C);
    packed.put(0, TAPS * pairs, half_maps::pack_backward(p, weight, s == 1));
    const Frame frame{1, p.H + 2, p.W + 2, p.K};
    std::vector<Product> products;  // one for each parity of the input's row and column
    for (int64_t i = 0; i < s; ++i)
        for (int64_t j = 0; j < s; ++j) {
            Product product{{}, 0, pairs, p.K, frame.width, p.C, &packed, nullptr, s * p.C, s * p.in_width * p.C,
                            (p.in_height - i + s - 1) / s, (p.in_width - j + s - 1) / s};
            if (s == 1) {
                product.pairs *= 3;
                for (; product.count < 3; ++product.count)
                    product.runs[product.count] = {product.count * frame.row(), product.count * product.pairs};
            } else {
                for (const Reader& above : half_maps::readers(s, i))
                    for (const Reader& beside : half_maps::readers(s, j))
                        product.runs[product.count++] = {above.from * frame.row() + beside.from * p.K,
                                                         (above.place * 3 + beside.place) * pairs};
            }
            if (product.out_height > 0 && product.out_width > 0) products.push_back(product);
        }
#pragma omp parallel num_threads(half_maps::team_size(p))
    {
        const Tiles tiles = products[0].tiles();  // all sum up as many pairs
        bits* values = empty_frame(frame, p.K);
#pragma omp for
        for (int64_t n = 0; n < p.N; ++n) {
            for (int64_t r = 0; r < p.H; ++r)
                copy_row(grad + (n * p.H + r) * p.W * p.K, p.W, p.K, values + (r + 1) * frame.row() + p.K, p.K);
            int64_t number = 0;
            for (int64_t i = 0; i < s; ++i)
                for (int64_t j = 0; j < s; ++j) {
                    if (i >= p.in_height || j >= p.in_width) continue;
                    multiply(products[number++], values, dx + ((n * p.in_height + i) * p.in_width + j) * p.C);
                }
        }
    }
}

}  // namespace tiled_maps

#endif
