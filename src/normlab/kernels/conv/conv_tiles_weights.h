// The gradient of the weights in tiles of bfloat16 (conv_tiles.h): K x positions by positions x C, once for each tap.
#pragma once

#include "conv_tiles.h"

#ifdef NORMLAB_TILES

namespace tiled_maps {

alignas(64) const bits OUTSIDE[MOST_CHANNELS] = {};  // the channels of a position on the frame

// Some samples as the gradient of the weights multiplies them, all in frames one behind the other: x by pairs of positions,
// once from each even and once from each odd position on, so that every tap finds whole pairs, and its output's gradient
// channel by channel. Rows with their frame have an even number of positions.
class Samples {
   public:
    Samples(const Problem& p, int64_t most)
        : block(p.C <= NARROW ? NARROW : LANES), p_(p), s_(p.stride), C_(p.C), ends_(p.stride == 1 ? 2 : 1) {
        width_ = rounded_up(p.W + ends_, 2);
        map_ = (p.H + ends_) * width_;
        // As many as stay in the second cache, more where the sums, which are read and written for each, are many.
        const int64_t fits = std::max<int64_t>(65536, 8 * C_ * p.K);
        at_once = std::clamp<int64_t>(fits / (map_ * (s_ * s_ * C_ + p.K)), 1, most);
        count = rounded_up(at_once * map_, 2 * PAIRS);
        held_ = count + rounded_up(2 * width_ + 2, 2 * PAIRS);  // with what the last taps read
        step = count + 2 * PAIRS;  // not a power of two, mostly
        paired_ = memory<bits>(PAIRED, s_ * s_ * 2 * part());
        apart_ = memory<bits>(GRAD_PAIRED, p.K * step);
        std::fill_n(paired_, s_ * s_ * 2 * part(), bits{0});
    }

    // 16 channels of the gradient from k on: rows of positions, `step` apart.
    const bits* gradient(int64_t k) const { return apart_ + k * step; }
    // A block of channels of x from c on, pairs of positions, as a tap reads them.
    const bits* input(int64_t c, int64_t row, int64_t column) const {
        const int64_t plane = row % s_ * s_ + column % s_, first = row / s_ * width_ + column / s_;
        return paired_ + (plane * 2 + first % 2) * part() + (c * held_ + first / 2 * 2 * block);
    }

    void take(const bits* x, const bits* grad, int64_t first, int64_t samples) {
        for (int64_t i = 0; i < at_once; ++i)
            for (int64_t r = 0; r < (p_.H + ends_) * s_; ++r) {  // the frame begins a row before the map
                const bool inside = i < samples && r > 0 && r <= p_.in_height;
                const bits* row = inside ? x + ((first + i) * p_.in_height + r - 1) * p_.in_width * C_ : nullptr;
                // Columns of one parity, from even and from odd positions of the frame on, which begins a column before.
                for (int64_t parity = 0; parity < s_; ++parity)
                    for (int64_t odd = 0; odd < 2; ++odd)
                        take_row(row, parity + odd * s_ - 1,
                                 paired_ + ((r % s_ * s_ + parity) * 2 + odd) * part() +
                                     (i * map_ + r / s_ * width_) * block);
            }
        take_gradient(grad + first * p_.H * p_.W * p_.K, samples);
    }

    int64_t at_once, count, step;  // samples, their positions in frames, and from one channel of the gradient to the next
    const int64_t block;           // channels that lie together

   private:
    static int64_t rounded_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }
    // Of the pairs of a plane from even, or odd, positions on.
    int64_t part() const { return held_ * rounded_up(C_, block); }

    // Writes even[0], odd[0], even[1], odd[1], ... of all channels, block by block.
    NORMLAB_INLINE void pair(const bits* even, const bits* odd, bits* to) const {
        if (block == NARROW) {
            const __mmask8 mask = (1 << C_) - 1;
            const __m128i a = _mm_maskz_loadu_epi16(mask, even), b = _mm_maskz_loadu_epi16(mask, odd);
            _mm_storeu_si128((__m128i*)to, _mm_unpacklo_epi16(a, b));
            return;
        }
        int64_t c = 0;
        for (; c + LANES <= C_; c += LANES) pair_channels(even + c, odd + c, LANES, to + c * held_);
        if (c == C_) return;
        const __mmask16 mask = Packed::some(C_ - c);
        _mm512_storeu_si512(to + c * held_, interleave(_mm256_maskz_loadu_epi16(mask, even + c),
                                                       _mm256_maskz_loadu_epi16(mask, odd + c)));
    }

    // Pairs of a row's columns from `column` on, s apart; zero where it has none, and without a row.
    void take_row(const bits* row, int64_t column, bits* to) const {
        auto at = [&](int64_t j) { return j >= 0 && j < p_.in_width ? row + j * C_ : OUTSIDE; };
        if (!row) column = p_.in_width;
        int64_t i = 0;
        auto next = [&](const bits* even, const bits* odd) NORMLAB_BODY {
            pair(even, odd, to);
            ++i, column += 2 * s_, to += 2 * block;
        };
        if (column < 0) next(OUTSIDE, at(column + s_));
        while (i < width_ / 2 && column + s_ < p_.in_width) next(row + column * C_, row + (column + s_) * C_);
        while (i < width_ / 2) next(at(column), at(column + s_));
    }

    void take_gradient(const bits* grad, int64_t samples) {
        constexpr int64_t BLOCK = PAIRS * 2 * LANES;
        alignas(64) bits paired[MOST_CHANNELS / LANES * BLOCK];
        int64_t sample = 0, row = 0, column = 0;
        for (int64_t i = 0; i < count; i += 2 * PAIRS) {
            for (int64_t pair = 0; pair < PAIRS; ++pair) {  // all channels at once, as they lie in memory
                const bool inside = sample < samples && row < p_.H;
                const bits* place = grad + ((sample * p_.H + row) * p_.W + column) * p_.K;
                const bits *even = inside && column < p_.W ? place : OUTSIDE,
                           *odd = inside && column + 1 < p_.W ? place + p_.K : OUTSIDE;
                for (int64_t k = 0; k < p_.K; k += LANES)
                    pair_channels(even + k, odd + k, LANES, paired + k / LANES * BLOCK + pair * 2 * LANES);
                if ((column += 2) < width_) continue;
                column = 0;
                if (++row * width_ < map_) continue;
                row = 0;
                ++sample;
            }
            for (int64_t k = 0; k < p_.K; k += LANES)
                transpose_block((const float*)(paired + k / LANES * BLOCK), LANES, (float*)(apart_ + k * step + i), step / 2);
        }
    }

    const Problem& p_;
    const int64_t s_, C_, ends_;
    int64_t width_, map_, held_;
    bits *paired_, *apart_;
};

// The gradient of the weights over samples [first, last), added to total: tiles of (16 output, 16 input channels), one for
// each tap, for all input channels, for all output channels.
inline void add_tiles(const Problem& p, const bits* x, const bits* grad, int64_t first, int64_t last, float* total) {
    Samples samples(p, last - first);
    const int64_t block = samples.block;
    const int64_t sums_row = LANES * sizeof(float), left_row = samples.step * sizeof(bits), right_row = 4 * block;
    const Size sums{SIDE, block}, left{SIDE, PAIRS}, right{PAIRS, block};
    const Tiles tiles{sums, sums, sums, left, right, right, right};
    for (int64_t n = first; n < last; n += samples.at_once) {
        samples.take(x, grad, n, std::min(samples.at_once, last - n));
        float* to = total;
        for (int64_t k = 0; k < p.K; k += LANES)
            for (int64_t c = 0; c < p.C; c += LANES)
                for (int64_t r = 0; r < 3; ++r, to += 3 * TILE) {
                    const bits *one = samples.input(c, r, 0), *two = samples.input(c, r, 1), *three = samples.input(c, r, 2);
                    const bits* gradient = samples.gradient(k);
                    _tile_loadd(0, to, sums_row);
                    _tile_loadd(1, to + TILE, sums_row);
                    _tile_loadd(2, to + 2 * TILE, sums_row);
                    for (int64_t i = 0; i < samples.count; i += 2 * PAIRS) {
                        _tile_loadd(3, gradient + i, left_row);
                        _tile_loadd(4, one + i * block, right_row);
                        _tile_dpbf16ps(0, 3, 4);
                        _tile_loadd(5, two + i * block, right_row);
                        _tile_dpbf16ps(1, 3, 5);
                        _tile_loadd(6, three + i * block, right_row);
                        _tile_dpbf16ps(2, 3, 6);
                    }
                    _tile_stored(0, to, sums_row);
                    _tile_stored(1, to + TILE, sums_row);
                    _tile_stored(2, to + 2 * TILE, sums_row);
                }
    }
}

void backward_weights(const Problem& p, const bits* x, const bits* grad, float* dweight) {
    const int64_t C = Packed::whole(p.C);
    const float* totals = half_maps::sum_of_threads(p, C, [&](int64_t first, int64_t last, float* total) {
        add_tiles(p, x, grad, first, last, total);
    });
    for (int64_t k = 0; k < p.K; ++k)
        for (int64_t c = 0; c < p.C; ++c) {
            const float* from = totals + (k / LANES * C + c / LANES * LANES) * TAPS * LANES + k % LANES * LANES + c % LANES;
            for (int64_t tap = 0; tap < TAPS; ++tap) dweight[(k * p.C + c) * TAPS + tap] = from[tap * TILE];
        }
}

}  // namespace tiled_maps

#endif
