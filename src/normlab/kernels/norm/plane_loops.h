// How the kernels of planes (n, c) go through a map: its layout, a thread's tables of one number a channel, and the mean
// and variance of each plane. Statistics are shifted two-pass, block by block in the cache, and merged as Chan, Golub &
// LeVeque (1983) do.
//
// Nothing depends on the number of threads: a plane's sums are one thread's work.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "../runtime/scratch.h"
#include "../runtime/spans.h"

namespace normlab {
namespace {

enum Use { TABLE, PERIODS, USES };  // of memory that a thread keeps

constexpr int TABLES = 8, SUMS = 5;         // at most, of one number a channel
constexpr int64_t BLOCK = 16384;            // elements that both passes of the statistics find in the cache
constexpr int64_t WORK_PER_THREAD = 65536;  // elements that are worth waking a thread for

// How a map lies in memory: `spans` a sample, each with `channels` interleaved channels.
struct Layout {
    int64_t spans, length, sample;  // length of a span and of a sample, in elements
    int channels, vectors;
    int64_t step, block;  // positions in a period, and in the block that is worked in the cache
    Layout(int64_t C, int64_t S, bool nhwc)
        : spans(nhwc ? 1 : C), length(nhwc ? S * C : S), sample(S * C), channels(nhwc ? C : 1) {
        const int shortest = channels / std::gcd(channels, LANES);
        vectors = shortest * ((shortest + 3) / shortest);
        step = vectors * LANES / channels;
        block = std::max<int64_t>(1, BLOCK / C / step) * step;
    }
};

// One thread's tables: rows of one coefficient a channel, the same rows unrolled to a period, and memory for sums.
struct Scratch {
    std::vector<float> rows[TABLES];
    std::vector<double> first, second, mean, rstd;
    float* periods[TABLES];
    float* sums;
    const float* tables[TABLES];  // what a span reads: a place in a row, or a period
    Scratch(int64_t C, const Layout& layout, int count = 4) : first(C), second(C), mean(C), rstd(C) {
        const size_t size = layout.vectors * LANES;
        float* memory = kept_memory<float, USES>(PERIODS, (TABLES + SUMS) * size);
        for (int i = 0; i < count; ++i) {
            rows[i].resize(C);
            periods[i] = memory + i * size;
        }
        sums = memory + TABLES * size;
    }
    // Set the first `count` tables for span s: one channel has its number in the row, more are unrolled.
    template <class Table>
    NORMLAB_INLINE void set_tables(int64_t s, int count, const Layout& layout) {
        for (int i = 0; i < count; ++i) {
            tables[i] = std::is_same_v<Table, Splat> ? rows[i].data() + s : periods[i];
            if (std::is_same_v<Table, Splat>) continue;
            for (int start = 0; start < layout.vectors * LANES; start += layout.channels)
                std::memcpy(periods[i] + start, rows[i].data(), layout.channels * sizeof(float));
        }
    }
    Span span(int64_t positions, const Layout& layout) const {
        return {positions * layout.channels, layout.vectors, layout.channels, sums};
    }
};

// Mean and variance of each channel of one sample, block by block.
//
// A block's values are centred by the mean of its first eighth (or more), so that one more pass gives both sums.
// Nothing is lost by it: if K is the mean of a share f of the values, var >= f * (K - mean)^2, so that the sum of
// squares about K is at most 1 + 1/f times that about the mean, and so is the rounding error.
template <int K, class Table, class T>
void sample_moments(const T* x, int64_t S, const Layout& layout, Scratch& scratch, double* mean, double* var) {
    const int64_t C = layout.spans * layout.channels;
    double *sums = scratch.first.data(), *squares = scratch.second.data();
    float* center = scratch.rows[0].data();
    for (int64_t start = 0; start < S; start += layout.block) {
        const int64_t count = std::min(layout.block, S - start);
        const int64_t some = std::min(count, (count / 8 + layout.step - 1) / layout.step * layout.step + layout.step);
        std::fill(sums, sums + C, 0.0);
        for (int64_t s = 0; s < layout.spans; ++s)
            sum_values<K, Table>(x + s * layout.length + start * layout.channels, scratch.span(some, layout), sums + s);
        const double each = 1.0 / some, one = 1.0 / count, share = double(count) / (start + count);
        for (int64_t c = 0; c < C; ++c) {
            center[c] = float(sums[c] * each);
            sums[c] = squares[c] = 0;
        }
        for (int64_t s = 0; s < layout.spans; ++s) {
            scratch.set_tables<Table>(s, 1, layout);
            sum_deviations<K, Table>(x + s * layout.length + start * layout.channels, scratch.tables[0],
                                     scratch.span(count, layout), sums + s, squares + s);
        }
        for (int64_t c = 0; c < C; ++c) {
            const double rest = sums[c] * one, square = squares[c] * one - rest * rest;
            sums[c] = center[c] + rest;
            squares[c] = square > 0 || square != square ? square : 0;
        }
        if (!start) {
            std::copy(sums, sums + C, mean);
            std::copy(squares, squares + C, var);
            continue;
        }
        for (int64_t c = 0; c < C; ++c) {
            const double step = sums[c] - mean[c];
            mean[c] += share * step;
            var[c] += share * (squares[c] - var[c]) + share * (1 - share) * step * step;
        }
    }
}

// Calls run<K, Table, T>() for the type and layout.
template <class Run>
void dispatch(bool is_bf16, bool nhwc, int vectors, Run run) {
    auto with_type = [&](auto type) {
        using T = decltype(type);
        if (!nhwc)
            run.template operator()<4, Splat, T>();
        else if (vectors == 4)
            run.template operator()<4, Row, T>();
        else if (LANES < 16 && vectors == 8)  // 64 channels where a vector has eight lanes
            run.template operator()<LANES < 16 ? 8 : 4, Row, T>();
        else
            run.template operator()<0, Row, T>();
    };
    is_bf16 ? with_type(bf16{}) : with_type(float{});
}

// As many threads as torch uses, whose OpenMP this is, or fewer where there is little to do.
inline int team_size(int64_t N, int64_t elements) {
    const int64_t threads = omp_get_max_threads(), worth = elements / WORK_PER_THREAD;
    return int(std::max<int64_t>(1, std::min({threads, worth, N})));
}

// Samples [first, second) are this thread's.
inline std::pair<int64_t, int64_t> own_samples(int64_t N) {
    const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    return {N * thread / threads, N * (thread + 1) / threads};
}

}  // namespace
}  // namespace normlab
