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
constexpr int64_t WORK_PER_THREAD = 65536;  // elements that are worth waking a thread for

struct Problem {
    int64_t N, C, S;  // samples, channels, positions
    int set, groups;
    bool given;  // the batch's statistics are given (evaluation) and not taken from x
    double eps;
    const float *weight, *bias, *gate;  // gate may be null
    // For each row (BATCH: 1, GROUPS: N, MIX: 1 + N, the batch first): C means, then C reciprocal deviations.
    double* stats;

    double* row(int64_t n) const { return stats + 2 * C * (set == GROUPS ? n : set == MIX ? n + 1 : 0); }
};

// How a map lies in memory: `spans` a sample, each with `channels` interleaved channels.
struct Layout {
    int64_t spans, length, sample;  // length of a span and of a sample, in elements
    int channels, vectors;
    int64_t step, block;  // positions in a period, and in the block that is worked in the cache
    Layout(const Problem& p, bool nhwc) : Layout(p.C, p.S, nhwc) {}
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
    std::vector<float> rows[4];  // forward: m, A, B; backward: m, P, Q, R
    std::vector<double> first, second;
    std::unique_ptr<float, decltype(&std::free)> memory{nullptr, &std::free};
    float* periods[4];
    float* sums;
    Scratch(const Problem& p, const Layout& layout) : first(p.C), second(p.C) {
        const size_t size = layout.vectors * LANES;
        memory.reset(static_cast<float*>(std::aligned_alloc(64, 6 * size * sizeof(float))));
        for (int i = 0; i < 4; ++i) {
            rows[i].resize(p.C);
            periods[i] = memory.get() + i * size;
        }
        sums = memory.get() + 4 * size;
    }
    // Unroll the first `count` rows for span s; one channel needs no more than its number.
    void unroll(int64_t s, int count, const Layout& layout) {
        for (int i = 0; i < count; ++i) {
            if (layout.channels == 1) {
                *periods[i] = rows[i][s];
                continue;
            }
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
            scratch.unroll(s, 1, layout);
            sum_deviations<K, Table>(x + s * layout.length + start * layout.channels, scratch.periods[0],
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

// Give every channel the mean and variance of its group, from those of the channels ...
inline void pool_groups(int64_t C, int64_t groups, double* mean, double* var) {
    const int64_t size = C / groups;
    for (int64_t start = 0; start < C && size > 1; start += size) {
        double *m = mean + start, *v = var + start;
        const double center = average(m, size);
        for (int64_t c = 0; c < size; ++c) v[c] += (m[c] - center) * (m[c] - center);
        std::fill(m, m + size, center);
        average_in_place(v, size);
    }
}

// ... or from those of the groups, in place.
inline void spread_groups(int64_t C, int64_t groups, double* mean, double* var) {
    const int64_t size = C / groups;
    for (int64_t g = groups; g-- > 0 && size > 1;) {
        const double m = mean[g], v = var[g];
        std::fill(mean + g * size, mean + (g + 1) * size, m);
        std::fill(var + g * size, var + (g + 1) * size, v);
    }
}

inline void write_groups(int64_t C, int64_t groups, const double* mean, const double* var, float* mean_out,
                         float* var_out) {
    for (int64_t g = 0; g < groups; ++g) {
        mean_out[g] = float(mean[g * (C / groups)]);
        var_out[g] = float(var[g * (C / groups)]);
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
    float *m = scratch.rows[0].data(), *scale = scratch.rows[1].data(), *shift = scratch.rows[2].data();
    for (int64_t c = 0; c < C; ++c) {
        m[c] = float(mean[c]);
        scale[c] = float(rstd[c]) * p.weight[c];
        shift[c] = float(p.bias[c] - (mean[c] - m[c]) * scale[c]);
    }
    if (p.set != MIX) return;
    for (int64_t c = 0; c < C; ++c) {
        const double by_batch = p.gate[c] * batch_rstd[c] * p.weight[c];
        const double slope = by_batch + (1 - p.gate[c]) * rstd[c] * p.weight[c];
        scale[c] = float(slope);
        shift[c] = float(p.bias[c] + by_batch * (mean[c] - batch_mean[c]) - (mean[c] - m[c]) * slope);
    }
}

template <int K, class Table, class T>
void apply_sample(const T* x, const T* residual, T* y, bool relu, const Problem& p, const Layout& layout,
                  Scratch& scratch) {
    const Span span = scratch.span(p.S, layout);
    auto* run = residual ? (relu ? &apply<K, Table, true, true, T> : &apply<K, Table, true, false, T>)
                         : (relu ? &apply<K, Table, false, true, T> : &apply<K, Table, false, false, T>);
    for (int64_t s = 0; s < layout.spans; ++s) {
        const int64_t at = s * layout.length;
        scratch.unroll(s, 3, layout);
        run(x + at, residual + (residual ? at : 0), y + at, scratch.periods, span);
    }
}

// As many threads as torch uses, whose OpenMP this is, or fewer where there is little to do.
inline int team_size(const Problem& p) {
    const int64_t threads = omp_get_max_threads(), worth = p.N * p.C * p.S / WORK_PER_THREAD;
    return int(std::max<int64_t>(1, std::min({threads, worth, p.N})));
}

// Samples [first, second) are this thread's.
inline std::pair<int64_t, int64_t> own_samples(int64_t N) {
    const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    return {N * thread / threads, N * (thread + 1) / threads};
}

template <int K, class Table, class T>
void forward(const Problem& p, const Layout& layout, const T* x, const T* residual, bool relu, T* y,
             float* mean_out, float* var_out) {
    const int64_t C = p.C;
    const bool takes_batch = p.set != GROUPS && !p.given;
    std::vector<double> table(takes_batch ? 2 * p.N * C : 0);
    // In NCHW a group's planes follow one another: for its statistics they are one longer plane.
    const bool is_pooled = p.set == GROUPS && layout.channels == 1;
    const Layout in_sample = is_pooled ? Layout(p.groups, C / p.groups * p.S, false) : layout;
    if (p.given && p.set != GROUPS) {
        for (int64_t c = 0; c < C; ++c) {
            p.stats[c] = mean_out[c];
            p.stats[C + c] = 1.0f / std::sqrt(float(var_out[c] + p.eps));
        }
    }
#pragma omp parallel num_threads(team_size(p))
    {
        Scratch scratch(p, layout);
        const auto [begin, end] = own_samples(p.N);
        if (takes_batch) {
            for (int64_t n = begin; n < end; ++n) {
                double* mean = table.data() + 2 * n * C;
                sample_moments<K, Table>(x + n * layout.sample, p.S, layout, scratch, mean, mean + C);
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
                double *mean = p.row(n), *var = mean + C;
                sample_moments<K, Table>(x + at, C * p.S / in_sample.spans / in_sample.channels, in_sample, scratch,
                                         mean, var);
                if (p.set == GROUPS) {
                    if (is_pooled)
                        spread_groups(C, p.groups, mean, var);
                    else
                        pool_groups(C, p.groups, mean, var);
                    write_groups(C, p.groups, mean, var, mean_out + n * p.groups, var_out + n * p.groups);
                }
                reciprocal_deviations(var, C, p.eps, var);
            }
            if (p.set != BATCH) forward_coefficients(p, n, scratch);
            apply_sample<K, Table>(x + at, residual ? residual + at : nullptr, y + at, relu, p, layout, scratch);
        }
    }
}

// Sums over the positions of sample n of g and of g * (x - mean), into rows of C.
template <int K, class Table, class T>
void sample_gradients(const Problem& p, int64_t n, const T* x, const T* grad, const T* y, T* masked,
                      const Layout& layout, Scratch& scratch, double* sums, double* products) {
    const double* mean = p.row(n);
    float* center = scratch.rows[0].data();
    for (int64_t c = 0; c < p.C; ++c) {
        center[c] = float(mean[c]);
        sums[c] = products[c] = 0;
    }
    auto* run = y ? &sum_gradients<K, Table, true, T> : &sum_gradients<K, Table, false, T>;
    for (int64_t s = 0; s < layout.spans; ++s) {
        scratch.unroll(s, 1, layout);
        for (int64_t start = 0; start < p.S; start += layout.block) {
            const int64_t at = s * layout.length + start * layout.channels;
            run(x + at, grad + at, y + (y ? at : 0), masked + (masked ? at : 0), scratch.periods[0],
                scratch.span(std::min(layout.block, p.S - start), layout), sums + s, products + s);
        }
    }
    for (int64_t c = 0; c < p.C; ++c) products[c] -= (mean[c] - center[c]) * sums[c];
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
            dgate[c] = float(p.weight[c] * (by_batch - by_set[c]));
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
    const double* grad_sums = p.set == BATCH ? average.grad.data() : sums;
    const double* product_sums = p.set == BATCH ? average.product.data() : products;
    const double share = p.set == BATCH ? 1.0 : 1.0 / p.S;
    for (int64_t c = 0; c < C; ++c) {
        level[c] = p.weight[c] * grad_sums[c] * share;
        tilt[c] = p.weight[c] * product_sums[c] * share;
    }
    for (int64_t start = 0; start < C && size > 1; start += size) {
        average_in_place(level + start, size);
        average_in_place(tilt + start, size);
    }
    // A lone value is its own mean: its output is constant, and rounding must not make that a small gradient.
    const bool alone = p.S * (p.set != BATCH ? size : p.given ? 2 : p.N) == 1;
    const double live = alone ? 0 : 1;
    float *m = scratch.rows[0].data(), *by_grad = scratch.rows[1].data(), *by_x = scratch.rows[2].data();
    float* shift = scratch.rows[3].data();
    for (int64_t c = 0; c < C; ++c) {
        const double r = live * rstd[c];
        double P = r * p.weight[c], Q = -r * r * r * tilt[c], R = -r * level[c];
        if (p.set == MIX) {
            const double gate = p.gate[c], b = batch_rstd[c], w = gate * p.weight[c];
            const double slope = -w * b * b * b * average.product[c];
            P = w * b + (1 - gate) * P;
            Q = slope + (1 - gate) * Q;
            R = -w * b * average.grad[c] + (1 - gate) * R + slope * (mean[c] - batch_mean[c]);
        }
        m[c] = float(mean[c]);
        by_grad[c] = float(P);
        by_x[c] = float(Q);
        shift[c] = float(R - (mean[c] - m[c]) * Q);
    }
}

template <int K, class Table, class T>
void combine_sample(const T* x, const T* grad, T* dx, const Problem& p, const Layout& layout, Scratch& scratch) {
    const Span span = scratch.span(p.S, layout);
    for (int64_t s = 0; s < layout.spans; ++s) {
        const int64_t at = s * layout.length;
        scratch.unroll(s, 4, layout);
        combine<K, Table>(x + at, grad + at, dx + at, scratch.periods, span);
    }
}

template <int K, class Table, class T>
void backward(const Problem& p, const Layout& layout, const T* x, const T* grad, const T* y, T* dx,
              T* dresidual, float* dweight, float* dbias, float* dgate) {
    const int64_t C = p.C;
    std::vector<double> table(2 * p.N * C);
    BatchAverages averages;
    T* masked = !y ? nullptr : dresidual ? dresidual : dx;
    const T* g = y ? masked : grad;
#pragma omp parallel num_threads(team_size(p))
    {
        Scratch scratch(p, layout);
        const auto [begin, end] = own_samples(p.N);
        auto finish = [&](int64_t n) {
            const double* sums = table.data() + 2 * n * C;
            const int64_t at = n * layout.sample;
            if (p.set != BATCH || n == end - 1) backward_coefficients(p, n, sums, sums + C, averages, scratch);
            combine_sample<K, Table>(x + at, g + at, dx + at, p, layout, scratch);
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
                             int relu, double eps, const void* x, const void* residual,
                             const float* weight, const float* bias, const float* gate, void* y, double* stats,
                             float* mean, float* var) {
    const std::vector<float> ones(weight ? 0 : C, 1.0f), zeros(bias ? 0 : C, 0.0f);
    if (!weight) weight = ones.data();
    if (!bias) bias = zeros.data();
    const Problem p{N, C, S, set, groups, bool(given), eps, weight, bias, gate, stats};
    const Layout layout(p, nhwc);
    dispatch(is_bf16, nhwc, layout.vectors, [&]<int K, class Table, class T>() {
        forward<K, Table>(p, layout, static_cast<const T*>(x), static_cast<const T*>(residual), relu,
                          static_cast<T*>(y), mean, var);
    });
}

// y is the output of a ReLU, or null where there was none. dresidual is written only with y; else it is grad.
extern "C" void norm_backward(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int set, int groups, int given,
                              const void* x, const void* grad, const void* y, const float* weight,
                              const float* gate, double* stats, void* dx, void* dresidual, float* dweight,
                              float* dbias, float* dgate) {
    const std::vector<float> ones(weight ? 0 : C, 1.0f);
    if (!weight) weight = ones.data();
    const Problem p{N, C, S, set, groups, bool(given), 0.0, weight, nullptr, gate, stats};
    const Layout layout(p, nhwc);
    dispatch(is_bf16, nhwc, layout.vectors, [&]<int K, class Table, class T>() {
        backward<K, Table>(p, layout, static_cast<const T*>(x), static_cast<const T*>(grad),
                           static_cast<const T*>(y), static_cast<T*>(dx), static_cast<T*>(dresidual), dweight,
                           dbias, dgate);
    });
}
