// Normalization of (N, C, H, W) maps, fused with a residual sum and a ReLU, forward and backward.
//
// Every scheme is affine in each plane (n, c): y = (x - m) * A + B, and so is its gradient, dx = g * P + (x - m)
// * Q + R. Schemes differ only in how the tables m, A, B, P, Q, R, with one number a plane, follow from the
// plane's mean and variance, or from its sums of g and g * (x - m). Those are small tables, worked in float64.
// Statistics are shifted two-pass, block by block in the cache, and merged as Chan, Golub & LeVeque (1983) do.
// The centre m is the mean rounded to float32, exact to subtract; what rounding lost goes into B and R.
//
// Nothing depends on the number of threads: a plane's sums are one thread's work, and tables are pooled in order.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

#include "spans.h"

namespace normlab {
namespace {

enum Set : int { BATCH, GROUPS, MIX };  // MIX: gate * batch + (1 - gate) * instance

constexpr int64_t BLOCK = 16384;          // elements that both passes of the statistics find in the cache
constexpr int64_t WORK_PER_THREAD = 8192;  // elements that are worth waking a thread for

struct Problem {
    int64_t N, C, S;  // samples, channels, positions
    int set, groups;
    bool given;  // the batch's statistics are given (evaluation) and not taken from x
    double eps;
    const float *weight, *bias, *gate;  // each may be null
    // For each row (BATCH: 1, GROUPS: N, MIX: 1 + N, the batch first): C means, then C reciprocal deviations.
    double* stats;

    float w(int64_t c) const { return weight ? weight[c] : 1.0f; }
    float b(int64_t c) const { return bias ? bias[c] : 0.0f; }
    double* row(int64_t n) const { return stats + 2 * C * (set == GROUPS ? n : set == MIX ? n + 1 : 0); }
};

// How a map lies in memory: `spans` a sample, each with `channels` interleaved channels.
struct Layout {
    int64_t spans, length, sample;
    int channels, vectors;
    Layout(const Problem& p, bool nhwc)
        : spans(nhwc ? 1 : p.C), length(nhwc ? p.S * p.C : p.S), sample(p.S * p.C), channels(nhwc ? p.C : 1) {
        const int shortest = channels / std::gcd(channels, LANES);
        vectors = shortest * ((shortest + 3) / shortest);
    }
};

// One thread's tables: a period of each coefficient, sums of a period, and rows of one number a channel.
struct Scratch {
    std::unique_ptr<float, decltype(&std::free)> memory{nullptr, &std::free};
    float* period[4];
    vf* sums[2];
    std::vector<float> mean, scale, slope, shift;
    std::vector<double> first, second, block_first, block_second;
    Scratch(const Problem& p, const Layout& layout) {
        const size_t size = layout.vectors * LANES;
        memory.reset(static_cast<float*>(std::aligned_alloc(64, 6 * size * sizeof(float))));
        for (int i = 0; i < 4; ++i) period[i] = memory.get() + i * size;
        for (int i = 0; i < 2; ++i) sums[i] = reinterpret_cast<vf*>(memory.get() + (4 + i) * size);
        for (auto* row : {&mean, &scale, &slope, &shift}) row->resize(p.C);
        for (auto* row : {&first, &second, &block_first, &block_second}) row->resize(p.C);
    }
};

// Repeat a row of coefficients until it fills a period.
inline void unroll(const float* values, const Layout& layout, float* period) {
    if (layout.channels == 1) {
        *period = *values;
        return;
    }
    for (int start = 0; start < layout.vectors * LANES; start += layout.channels)
        std::memcpy(period + start, values, layout.channels * sizeof(float));
}

// Mean and variance of each channel of one span.
template <int K, class Table, class T>
void span_moments(const T* x, const Layout& layout, Scratch& scratch, double* mean, double* var) {
    const int channels = layout.channels, vectors = layout.vectors;
    const int64_t period = vectors * LANES, block = std::max<int64_t>(1, BLOCK / period) * period;
    double* block_mean = scratch.block_first.data();
    double* block_square = scratch.block_second.data();
    std::vector<float>& center = scratch.slope;
    int64_t seen = 0;
    for (int64_t start = 0; start < layout.length; start += block) {
        const int64_t length = std::min(block, layout.length - start), count = length / channels;
        sum_values<K>(x + start, length, vectors, scratch.sums[0]);
        fold(scratch.sums[0], vectors, channels, block_mean);
        for (int c = 0; c < channels; ++c) center[c] = float(block_mean[c] / count);
        unroll(center.data(), layout, scratch.period[0]);
        sum_deviations<K, Table>(x + start, scratch.period[0], length, vectors, scratch.sums[0], scratch.sums[1]);
        fold(scratch.sums[0], vectors, channels, block_mean);
        fold(scratch.sums[1], vectors, channels, block_square);
        const double share = double(count) / (seen + count), one = 1.0 / count;
        for (int c = 0; c < channels; ++c) {
            const double rest = block_mean[c] * one;  // what rounding the mean to float32 lost
            const double m = center[c] + rest, v = std::max(block_square[c] * one - rest * rest, 0.0);
            if (!seen) {
                mean[c] = m;
                var[c] = v;
            } else {
                const double step = m - mean[c];
                mean[c] += share * step;
                var[c] += share * (v - var[c]) + share * (1 - share) * step * step;
            }
        }
        seen += count;
    }
}

template <int K, class Table, class T>
void sample_moments(const T* x, const Layout& layout, Scratch& scratch, double* mean, double* var) {
    for (int64_t s = 0; s < layout.spans; ++s)
        span_moments<K, Table>(x + s * layout.length, layout, scratch, mean + s, var + s);
}

inline void reciprocal_deviations(const double* var, int64_t count, double eps, double* rstd) {
    for (int64_t i = 0; i < count; ++i) rstd[i] = 1.0f / std::sqrt(float(var[i] + eps));
}

inline double average(const double* values, int64_t size) {
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < size; ++i) total += values[i];
    return total / size;
}

inline void average_in_place(double* values, int64_t size) {
    std::fill(values, values + size, average(values, size));
}

// Give every channel the mean and variance of its group, and write them to the outputs once a group.
inline void pool_groups(int64_t C, int64_t groups, double* mean, double* var, float* mean_out, float* var_out) {
    const int64_t size = C / groups;
    for (int64_t start = 0; start < C && size > 1; start += size) {
        double *m = mean + start, *v = var + start;
        const double center = average(m, size);
        for (int64_t c = 0; c < size; ++c) v[c] += (m[c] - center) * (m[c] - center);
        std::fill(m, m + size, center);
        average_in_place(v, size);
    }
    for (int64_t g = 0; g < groups && mean_out; ++g) {
        mean_out[g] = float(mean[g * size]);
        var_out[g] = float(var[g * size]);
    }
}

// Mean and variance over all samples from the table of each sample's; the table is (N, 2, C).
inline void pool_batch(const Problem& p, const double* table, float* mean_out, float* var_out) {
    const int64_t C = p.C;
    double *mean = p.stats, *rstd = p.stats + C;
    std::vector<double> var(C, 0.0);
    std::fill(mean, mean + C, 0.0);
    for (int64_t n = 0; n < p.N; ++n)
        for (int64_t c = 0; c < C; ++c) mean[c] += table[2 * n * C + c];
    for (int64_t c = 0; c < C; ++c) mean[c] /= p.N;
    for (int64_t n = 0; n < p.N; ++n)
        for (int64_t c = 0; c < C; ++c) {
            const double step = table[2 * n * C + c] - mean[c];
            var[c] += table[(2 * n + 1) * C + c] + step * step;
        }
    for (int64_t c = 0; c < C; ++c) var[c] /= p.N;
    reciprocal_deviations(var.data(), C, p.eps, rstd);
    for (int64_t c = 0; c < C; ++c) {
        mean_out[c] = float(mean[c]);
        var_out[c] = float(var[c]);
    }
}

// m, A and B of sample n.
inline void forward_coefficients(const Problem& p, int64_t n, Scratch& scratch) {
    const int64_t C = p.C;
    const double *mean = p.row(n), *rstd = mean + C, *batch_mean = p.stats, *batch_rstd = batch_mean + C;
    float *m = scratch.mean.data(), *scale = scratch.scale.data(), *shift = scratch.shift.data();
    for (int64_t c = 0; c < C; ++c) {
        m[c] = float(mean[c]);
        double slope = rstd[c] * p.w(c), level = p.b(c);
        if (p.set == MIX) {
            const double by_batch = p.gate[c] * batch_rstd[c] * p.w(c);
            slope = by_batch + (1 - p.gate[c]) * slope;
            level += by_batch * (mean[c] - batch_mean[c]);
        }
        scale[c] = float(slope);
        shift[c] = float(level - (mean[c] - m[c]) * slope);
    }
}

template <int K, class Table, class T>
void apply_sample(const T* x, const T* residual, T* y, bool relu, const Layout& layout, Scratch& scratch) {
    for (int64_t s = 0; s < layout.spans; ++s) {
        const int64_t at = s * layout.length;
        unroll(&scratch.mean[s], layout, scratch.period[0]);
        unroll(&scratch.scale[s], layout, scratch.period[1]);
        unroll(&scratch.shift[s], layout, scratch.period[2]);
        auto* run = residual ? (relu ? &apply<K, Table, true, true, T> : &apply<K, Table, true, false, T>)
                             : (relu ? &apply<K, Table, false, true, T> : &apply<K, Table, false, false, T>);
        run(x + at, residual ? residual + at : nullptr, y + at, scratch.period[0], scratch.period[1],
            scratch.period[2], layout.length, layout.vectors);
    }
}

inline int team_size(const Problem& p, int threads) {
    const int64_t worth = p.N * p.C * p.S / WORK_PER_THREAD;
    return int(std::max<int64_t>(1, std::min({int64_t(threads), worth, p.N})));
}

// Samples [first, second) are this thread's.
inline std::pair<int64_t, int64_t> own_samples(int64_t N) {
    const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    return {N * thread / threads, N * (thread + 1) / threads};
}

template <int K, class Table, class T>
void forward(const Problem& p, const Layout& layout, int threads, const T* x, const T* residual, bool relu, T* y,
             float* mean_out, float* var_out) {
    const int64_t C = p.C;
    const bool takes_batch = p.set != GROUPS && !p.given;
    std::vector<double> table(takes_batch ? 2 * p.N * C : 0);
    if (p.given && p.set != GROUPS) {
        for (int64_t c = 0; c < C; ++c) {
            p.stats[c] = mean_out[c];
            p.stats[C + c] = 1.0f / std::sqrt(float(var_out[c] + p.eps));
        }
    }
#pragma omp parallel num_threads(team_size(p, threads))
    {
        Scratch scratch(p, layout);
        const auto [begin, end] = own_samples(p.N);
        if (takes_batch) {
            for (int64_t n = begin; n < end; ++n) {
                double* mean = table.data() + 2 * n * C;
                sample_moments<K, Table>(x + n * layout.sample, layout, scratch, mean, mean + C);
                if (p.set == MIX) {
                    std::copy(mean, mean + C, p.row(n));
                    reciprocal_deviations(mean + C, C, p.eps, p.row(n) + C);
                }
            }
#pragma omp barrier
#pragma omp single
            pool_batch(p, table.data(), mean_out, var_out);
        }
        if (p.set == BATCH) forward_coefficients(p, 0, scratch);
        for (int64_t n = end; n-- > begin;) {  // backwards: the sample read last is still in the cache
            const int64_t at = n * layout.sample;
            if (!takes_batch && p.set != BATCH) {
                double *mean = p.row(n), *var = scratch.second.data();
                sample_moments<K, Table>(x + at, layout, scratch, mean, var);
                const bool outputs = p.set == GROUPS;
                pool_groups(C, outputs ? p.groups : C, mean, var, outputs ? mean_out + n * p.groups : nullptr,
                            outputs ? var_out + n * p.groups : nullptr);
                reciprocal_deviations(var, C, p.eps, mean + C);
            }
            if (p.set != BATCH) forward_coefficients(p, n, scratch);
            apply_sample<K, Table>(x + at, residual ? residual + at : nullptr, y + at, relu, layout, scratch);
        }
    }
}

// Sums over the positions of sample n of g and of g * (x - mean), into rows of C.
template <int K, class Table, class T>
void sample_gradients(const Problem& p, int64_t n, const T* x, const T* grad, const T* y, T* masked,
                      const Layout& layout, Scratch& scratch, double* sums, double* products) {
    const double* mean = p.row(n);
    for (int64_t c = 0; c < p.C; ++c) scratch.mean[c] = float(mean[c]);
    std::fill(sums, sums + p.C, 0.0);
    std::fill(products, products + p.C, 0.0);
    double *block_sum = scratch.block_first.data(), *block_product = scratch.block_second.data();
    const int64_t period = layout.vectors * LANES, block = std::max<int64_t>(1, BLOCK / period) * period;
    auto* run = y ? &sum_gradients<K, Table, true, T> : &sum_gradients<K, Table, false, T>;
    for (int64_t s = 0; s < layout.spans; ++s) {
        unroll(&scratch.mean[s], layout, scratch.period[0]);
        for (int64_t start = 0; start < layout.length; start += block) {
            const int64_t at = s * layout.length + start, length = std::min(block, layout.length - start);
            run(x + at, grad + at, y ? y + at : nullptr, masked ? masked + at : nullptr, scratch.period[0], length,
                layout.vectors, scratch.sums[0], scratch.sums[1]);
            fold(scratch.sums[0], layout.vectors, layout.channels, block_sum);
            fold(scratch.sums[1], layout.vectors, layout.channels, block_product);
            for (int c = 0; c < layout.channels; ++c) {
                sums[s + c] += block_sum[c];
                products[s + c] += block_product[c];
            }
        }
    }
    for (int64_t c = 0; c < p.C; ++c) products[c] -= (mean[c] - scratch.mean[c]) * sums[c];
}

// What the samples share in the backward pass: averages over the batch (0 where statistics are given).
struct BatchAverages {
    std::vector<double> grad, product;
};

// Sums the table (N, 2, C) of sample_gradients over samples: dweight, dbias and dgate, and the averages.
inline BatchAverages reduce(const Problem& p, const double* table, float* dweight, float* dbias, float* dgate) {
    const int64_t C = p.C;
    BatchAverages average{std::vector<double>(C, 0.0), std::vector<double>(C, 0.0)};
    std::vector<double> by_set(C, 0.0);
    const double *batch_mean = p.stats, *batch_rstd = batch_mean + C;
    for (int64_t n = 0; n < p.N; ++n) {
        const double *grad = table + 2 * n * C, *product = grad + C, *mean = p.row(n), *rstd = mean + C;
        for (int64_t c = 0; c < C; ++c) {
            const double delta = p.set == MIX ? mean[c] - batch_mean[c] : 0;
            average.grad[c] += grad[c];
            average.product[c] += product[c] + delta * grad[c];
            by_set[c] += rstd[c] * product[c];
        }
    }
    for (int64_t c = 0; c < C; ++c) {
        dbias[c] = float(average.grad[c]);
        dweight[c] = float(by_set[c]);
        if (p.set == MIX) {
            const double by_batch = batch_rstd[c] * average.product[c];
            dweight[c] = float(p.gate[c] * by_batch + (1 - p.gate[c]) * by_set[c]);
            dgate[c] = float(p.w(c) * (by_batch - by_set[c]));
        }
        const double share = p.given ? 0 : 1.0 / (double(p.N) * p.S);
        average.grad[c] *= share;
        average.product[c] *= share;
    }
    return average;
}

// P, Q and R of sample n (scale, slope, shift in the scratch), from its sums of gradients.
inline void backward_coefficients(const Problem& p, int64_t n, const double* sums, const double* products,
                                  const BatchAverages& average, Scratch& scratch) {
    const int64_t C = p.C, size = p.set == GROUPS ? C / p.groups : 1;
    const double *mean = p.row(n), *rstd = mean + C, *batch_mean = p.stats, *batch_rstd = batch_mean + C;
    double *level = scratch.first.data(), *tilt = scratch.second.data();
    for (int64_t c = 0; c < C; ++c) {
        level[c] = p.w(c) * (p.set == BATCH ? average.grad[c] : sums[c] / p.S);
        tilt[c] = p.w(c) * (p.set == BATCH ? average.product[c] : products[c] / p.S);
    }
    for (int64_t start = 0; start < C && size > 1; start += size) {
        average_in_place(level + start, size);
        average_in_place(tilt + start, size);
    }
    // A lone value is its own mean: its output is constant, and rounding must not make that a small gradient.
    const bool alone = p.S * (p.set != BATCH ? size : p.given ? 2 : p.N) == 1;
    float *m = scratch.mean.data(), *by_grad = scratch.scale.data(), *by_x = scratch.slope.data();
    for (int64_t c = 0; c < C; ++c) {
        double P = rstd[c] * p.w(c), Q = -rstd[c] * rstd[c] * rstd[c] * tilt[c], R = -rstd[c] * level[c];
        if (alone) P = Q = R = 0;
        if (p.set == MIX) {
            const double gate = p.gate[c], r = batch_rstd[c], slope = -gate * p.w(c) * r * r * r * average.product[c];
            P = gate * r * p.w(c) + (1 - gate) * P;
            Q = slope + (1 - gate) * Q;
            R = -gate * p.w(c) * r * average.grad[c] + (1 - gate) * R + slope * (mean[c] - batch_mean[c]);
        }
        m[c] = float(mean[c]);
        by_grad[c] = float(P);
        by_x[c] = float(Q);
        scratch.shift[c] = float(R - (mean[c] - m[c]) * Q);
    }
}

template <int K, class Table, class T>
void combine_sample(const T* x, const T* grad, T* dx, const Layout& layout, Scratch& scratch) {
    for (int64_t s = 0; s < layout.spans; ++s) {
        const int64_t at = s * layout.length;
        unroll(&scratch.mean[s], layout, scratch.period[0]);
        unroll(&scratch.scale[s], layout, scratch.period[1]);
        unroll(&scratch.slope[s], layout, scratch.period[2]);
        unroll(&scratch.shift[s], layout, scratch.period[3]);
        combine<K, Table>(x + at, grad + at, dx + at, scratch.period[0], scratch.period[1], scratch.period[2],
                          scratch.period[3], layout.length, layout.vectors);
    }
}

template <int K, class Table, class T>
void backward(const Problem& p, const Layout& layout, int threads, const T* x, const T* grad, const T* y, T* dx,
              T* dresidual, float* dweight, float* dbias, float* dgate) {
    const int64_t C = p.C;
    std::vector<double> table(2 * p.N * C);
    BatchAverages averages;
    T* masked = !y ? nullptr : dresidual ? dresidual : dx;
    const T* g = y ? masked : grad;
#pragma omp parallel num_threads(team_size(p, threads))
    {
        Scratch scratch(p, layout);
        const auto [begin, end] = own_samples(p.N);
        auto finish = [&](int64_t n) {
            const double* sums = table.data() + 2 * n * C;
            const int64_t at = n * layout.sample;
            if (p.set != BATCH || n == end - 1) backward_coefficients(p, n, sums, sums + C, averages, scratch);
            combine_sample<K, Table>(x + at, g + at, dx + at, layout, scratch);
        };
        for (int64_t n = begin; n < end; ++n) {
            double* sums = table.data() + 2 * n * C;
            const int64_t at = n * layout.sample;
            sample_gradients<K, Table>(p, n, x + at, grad + at, y ? y + at : nullptr, masked ? masked + at : nullptr,
                                       layout, scratch, sums, sums + C);
            if (p.set == GROUPS) finish(n);
        }
#pragma omp barrier
#pragma omp single
        averages = reduce(p, table.data(), dweight, dbias, dgate);
        if (p.set != GROUPS)
            for (int64_t n = end; n-- > begin;) finish(n);
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
        else
            run.template operator()<0, Row, T>();
    };
    is_bf16 ? with_type(bf16{}) : with_type(float{});
}

}  // namespace
}  // namespace normlab

using namespace normlab;

// mean and var are read where statistics are given, else written. Null: residual, weight, bias, gate.
extern "C" void norm_forward(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int set, int groups, int given,
                             int relu, int threads, double eps, const void* x, const void* residual,
                             const float* weight, const float* bias, const float* gate, void* y, double* stats,
                             float* mean, float* var) {
    const Problem p{N, C, S, set, groups, bool(given), eps, weight, bias, gate, stats};
    const Layout layout(p, nhwc);
    dispatch(is_bf16, nhwc, layout.vectors, [&]<int K, class Table, class T>() {
        forward<K, Table>(p, layout, threads, static_cast<const T*>(x), static_cast<const T*>(residual), relu,
                          static_cast<T*>(y), mean, var);
    });
}

// y is the output of a ReLU, or null where there was none. dresidual is written only with y; else it is grad.
extern "C" void norm_backward(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int set, int groups, int given,
                              int threads, const void* x, const void* grad, const void* y, const float* weight,
                              const float* gate, double* stats, void* dx, void* dresidual, float* dweight,
                              float* dbias, float* dgate) {
    const Problem p{N, C, S, set, groups, bool(given), 0.0, weight, nullptr, gate, stats};
    const Layout layout(p, nhwc);
    dispatch(is_bf16, nhwc, layout.vectors, [&]<int K, class Table, class T>() {
        backward<K, Table>(p, layout, threads, static_cast<const T*>(x), static_cast<const T*>(grad),
                           static_cast<const T*>(y), static_cast<T*>(dx), static_cast<T*>(dresidual), dweight,
                           dbias, dgate);
    });
}
