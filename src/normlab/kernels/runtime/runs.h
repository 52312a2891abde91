// What kernels share that work a map in runs of positions: one value at a time in plain loops, which `omp simd` makes
// vectors of. The results do not depend on the number of threads, since a run's sums are one thread's work.
#pragma once

#include <omp.h>

#include <algorithm>

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

}  // namespace normlab
