// What kernels share that work a map in runs of positions: planes one value at a time in plain loops, which `omp simd` makes
// vectors of; rows of channels by vectors, since compilers leave short loops over bfloat16 as they are. The results do not depend on the number of threads, since a run's sums are one thread's work.
#pragma once

#include <omp.h>

#include <algorithm>
#include <vector>

#include "spans.h"

namespace normlab {

constexpr int64_t RUN = 1024;               // positions
constexpr int64_t WORK_PER_THREAD = 65536;  // elements that are worth waking a thread for

NORMLAB_INLINE float read(float value) { return value; }
NORMLAB_INLINE float read(bf16 value) {
    const uint32_t bits = uint32_t(value.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

NORMLAB_INLINE void write(float* to, float value) { *to = value; }
// Rounds to nearest even; a NaN stays one.
NORMLAB_INLINE void write(bf16* to, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    to->bits = uint16_t(value != value ? 0x7fc0 : rounded);
}

// Calls run(sample, its first position, how many) for each run of positions, its number among all first.
template <class Run>
inline void each_run(int64_t N, int64_t C, int64_t S, Run run) {
    const int64_t runs = (S + RUN - 1) / RUN, all = N * runs;
    const int64_t team = std::clamp<int64_t>(N * C * S / WORK_PER_THREAD, 1, std::min<int64_t>(omp_get_max_threads(), all));
#pragma omp parallel for num_threads(int(team)) schedule(static)
    for (int64_t i = 0; i < all; ++i) {
        const int64_t start = i % runs * RUN;
        run(i, i / runs, start, std::min(RUN, S - start));
    }
}

// Calls run.operator()<FIXED>() with the number of channels where it is a usual one, so that a row's loops are unrolled.
template <class Run>
inline void with_channels(int64_t C, Run run) {
    if (C == 16)
        run.template operator()<16>();
    else if (C == 32)
        run.template operator()<32>();
    else if (C == 64)
        run.template operator()<64>();
    else
        run.template operator()<0>();
}

// Calls body(channel, Full or Part) for each vector of a row of channels; FIXED, if not 0, is their number.
template <int FIXED, class Body>
NORMLAB_INLINE void along(int64_t channels, Body body) {
    sweep<FIXED / LANES>(channels, 1, [&](int64_t c, int, auto size) NORMLAB_BODY { body(c, size); });
}

// Works a map in runs: rows<FIXED>(number of the run, its first position among all, how many) in NHWC, planes(number, place of
// the run in the sample's first channel, its first position among all, how many) in NCHW.
template <class Rows, class Planes>
inline void each_part(int64_t N, int64_t C, int64_t S, bool nhwc, Rows rows, Planes planes) {
    if (nhwc)
        with_channels(C, [&]<int FIXED>() {
            each_run(N, C, S, [&](int64_t i, int64_t n, int64_t start, int64_t count) {
                rows.template operator()<FIXED>(i, n * S + start, count);
            });
        });
    else
        each_run(N, C, S, [&](int64_t i, int64_t n, int64_t start, int64_t count) {
            planes(i, n * C * S + start, n * S + start, count);
        });
}

// A table of `width` sums for each run, and their total in the order of the runs.
struct SumsOfRuns {
    int64_t runs, width;
    std::vector<double> values;
    SumsOfRuns(int64_t N, int64_t S, int64_t width)
        : runs(N * ((S + RUN - 1) / RUN)), width(width), values(runs * width) {}
    double* of(int64_t run) { return values.data() + run * width; }
    const double* total() {
        for (int64_t i = 1; i < runs; ++i)
            for (int64_t j = 0; j < width; ++j) values[j] += values[i * width + j];
        return values.data();
    }
};

}  // namespace normlab
