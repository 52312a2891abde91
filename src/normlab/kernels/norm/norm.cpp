// Normalization of (N, C, H, W) maps, fused with a residual sum and a ReLU, forward and backward.
//
// Every scheme is affine in each plane (n, c): y = (x - m) * A + B, and so is its gradient, dx = g * P + (x - m)
// * Q + R. Schemes differ only in how the tables m, A, B, P, Q, R, with one number a plane, follow from the
// plane's mean and variance, or from its sums of g and g * (x - m). Those are small tables, worked in float64.
// The centre m is the mean rounded to float32, exact to subtract; what rounding lost goes into B and R.
//
// Nothing depends on the number of threads: a plane's sums are one thread's work, and tables are pooled in order.
#include "plane_loops.h"

namespace normlab {
namespace {

enum Set : int { BATCH, GROUPS, MIX };  // MIX: gate * batch + (1 - gate) * instance

constexpr int64_t TILE = 3072;            // elements of each of two or three maps that stay in the first cache

struct Problem {
    int64_t N, C, S;  // samples, channels, positions
    int set, groups;
    bool given;  // the batch's statistics are given (evaluation) and not taken from x
    double eps;
    const float *weight, *bias, *gate;  // gate may be null
    // For each row (BATCH: 1, GROUPS: N, MIX: 1 + N, the batch first): means, then reciprocal deviations, one for each
    // group or else channel.
    double* stats;

    int64_t sets() const { return set == GROUPS ? groups : C; }
    double* row(int64_t n) const { return stats + 2 * sets() * (set == GROUPS ? n : set == MIX ? n + 1 : 0); }
};

// Channels [first, last) of a sample: whole index sets; in NCHW no more than a second visit finds in the cache.
struct Tile {
    int64_t first, last;
};

// The tiles of a sample: one, or with `split` so many index sets each as stay in the first cache.
struct Tiling {
    int64_t C, channels;
    Tiling(const Problem& p, bool split) : C(p.C), channels(p.C) {
        const int64_t size = p.C / p.sets();
        if (split) channels = std::max<int64_t>(1, TILE / (size * p.S)) * size;
    }
    Tile operator[](int64_t i) const { return {i * channels, std::min((i + 1) * channels, C)}; }
    int64_t count() const { return (C + channels - 1) / channels; }
};

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

// The mean and variance of each group from those of its channels.
inline void pool_groups(int64_t C, int64_t size, const double* mean, const double* var, double* group_mean,
                        double* group_var) {
    for (int64_t g = 0; g < C / size; ++g) {
        const double *m = mean + g * size, center = average(m, size);
        double squares = 0;
        for (int64_t c = 0; c < size; ++c) squares += (m[c] - center) * (m[c] - center);
        group_mean[g] = center;
        group_var[g] = average(var + g * size, size) + squares / size;
    }
}

// One number a channel.
struct ByChannel {
    const double *mean, *rstd;
};

// The statistics of a tile of sample n, of groups copied to each of their channels.
inline ByChannel statistics(const Problem& p, int64_t n, Tile tile, Scratch& scratch) {
    const double* row = p.row(n);
    if (p.sets() == p.C) return {row, row + p.C};
    const int64_t size = p.C / p.groups;
    for (int64_t c = tile.first; c < tile.last; c += size) {
        std::fill_n(scratch.mean.data() + c, size, row[c / size]);
        std::fill_n(scratch.rstd.data() + c, size, row[p.groups + c / size]);
    }
    return {scratch.mean.data(), scratch.rstd.data()};
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

// m, A and B of a tile of sample n.
inline void forward_coefficients(const Problem& p, int64_t n, Tile tile, Scratch& scratch) {
    const auto [mean, rstd] = statistics(p, n, tile, scratch);
    const double *batch_mean = p.stats, *batch_rstd = batch_mean + p.C;
    float *m = scratch.rows[0].data(), *scale = scratch.rows[1].data(), *shift = scratch.rows[2].data();
    if (p.set != MIX) {
#pragma omp simd
        for (int64_t c = tile.first; c < tile.last; ++c) {
            m[c] = float(mean[c]);
            scale[c] = float(rstd[c]) * p.weight[c];
            shift[c] = float(p.bias[c] - (mean[c] - m[c]) * scale[c]);
        }
        return;
    }
#pragma omp simd
    for (int64_t c = tile.first; c < tile.last; ++c) {
        const double by_batch = p.gate[c] * batch_rstd[c] * p.weight[c];
        const double slope = by_batch + (1 - p.gate[c]) * rstd[c] * p.weight[c];
        m[c] = float(mean[c]);
        scale[c] = float(slope);
        shift[c] = float(p.bias[c] + by_batch * (mean[c] - batch_mean[c]) - (mean[c] - m[c]) * slope);
    }
}

// Calls body(s, offset) for each span of a tile.
template <class Body>
NORMLAB_INLINE void each_span(const Layout& layout, Tile tile, Body body) {
    const int64_t last = layout.spans == 1 ? 1 : tile.last;
    for (int64_t s = layout.spans == 1 ? 0 : tile.first; s < last; ++s) body(s, s * layout.length);
}

template <int K, class Table, bool RESIDUAL, bool RELU, class T>
void apply_tile(const T* x, const T* residual, T* y, const Problem& p, const Layout& layout, Tile tile,
                Scratch& scratch) {
    const Span span = scratch.span(p.S, layout);
    each_span(layout, tile, [&](int64_t s, int64_t at) NORMLAB_BODY {
        scratch.set_tables<Table>(s, 3, layout);
        apply<K, Table, RESIDUAL, RELU>(x + at, RESIDUAL ? residual + at : nullptr, y + at, scratch.tables, span);
    });
}

// Mean and reciprocal deviation of a tile's index sets; those of groups are written out too.
template <int K, class Table, class T>
void tile_statistics(const Problem& p, int64_t n, const T* x, const Layout& layout, Tile tile, Scratch& scratch,
                     float* mean_out, float* var_out) {
    const int64_t sets = p.sets(), size = p.C / sets, first = tile.first / size, count = tile.last / size - first;
    double *mean = p.row(n) + first, *rstd = mean + sets, *var = rstd;
    if (layout.channels == 1 || sets == 1) {  // a set's values follow one another: they are one longer plane
        const Layout planes(count, size * p.S, false);
        sample_moments<4, Splat>(x + tile.first * p.S, size * p.S, planes, scratch, mean, var);
    } else if (size == 1) {
        sample_moments<K, Table>(x, p.S, layout, scratch, mean, var);
    } else {
        sample_moments<K, Table>(x, p.S, layout, scratch, scratch.mean.data(), scratch.rstd.data());
        pool_groups(p.C, size, scratch.mean.data(), scratch.rstd.data(), mean, var);
    }
    for (int64_t g = 0; g < count && p.set == GROUPS; ++g) {
        mean_out[n * sets + first + g] = float(mean[g]);
        var_out[n * sets + first + g] = float(var[g]);
    }
    reciprocal_deviations(var, count, p.eps, rstd);
}

template <int K, class Table, class T>
void forward(const Problem& p, const Layout& layout, const T* x, const T* residual, bool relu, T* y,
             float* mean_out, float* var_out) {
    const int64_t C = p.C;
    const bool takes_batch = p.set != GROUPS && !p.given;
    const Tile whole{0, C};
    const Tiling tiles(p, std::is_same_v<Table, Splat>);
    const auto run = residual ? (relu ? &apply_tile<K, Table, true, true, T> : &apply_tile<K, Table, true, false, T>)
                              : (relu ? &apply_tile<K, Table, false, true, T> : &apply_tile<K, Table, false, false, T>);
    double* table = kept_memory<double, USES>(TABLE, takes_batch ? 2 * p.N * C : 0);
    if (p.given && p.set != GROUPS) {
        for (int64_t c = 0; c < C; ++c) {
            p.stats[c] = mean_out[c];
            p.stats[C + c] = 1.0f / std::sqrt(float(var_out[c] + p.eps));
        }
    }
#pragma omp parallel num_threads(team_size(p.N, p.N * p.C * p.S))
    {
        Scratch scratch(p.C, layout);
        const auto [begin, end] = own_samples(p.N);
        auto finish = [&](int64_t n, Tile tile) {
            const int64_t at = n * layout.sample;
            if (p.set != BATCH || n == end - 1) forward_coefficients(p, n, tile, scratch);
            run(x + at, residual ? residual + at : nullptr, y + at, p, layout, tile, scratch);
        };
        if (takes_batch) {
            for (int64_t n = begin; n < end; ++n) {
                double* mean = table + 2 * n * C;
                sample_moments<K, Table>(x + n * layout.sample, p.S, layout, scratch, mean, mean + C);
                if (p.set == MIX) {
                    std::copy(mean, mean + C, p.row(n));
                    reciprocal_deviations(mean + C, C, p.eps, p.row(n) + C);
                }
            }
#pragma omp barrier
#pragma omp single
            pool_batch(p, table, mean_out, var_out);
        }
        if (takes_batch || p.set == BATCH)
            for (int64_t n = end; n-- > begin;) finish(n, whole);  // backwards: the last is still in the cache
        else
            for (int64_t n = begin; n < end; ++n)
                for (int64_t i = 0; i < tiles.count(); ++i) {
                    tile_statistics<K, Table>(p, n, x + n * layout.sample, layout, tiles[i], scratch, mean_out,
                                              var_out);
                    finish(n, tiles[i]);
                }
    }
}

// Sums over the positions of a tile of sample n of g and of g * (x - mean), into rows of C.
template <int K, class Table, bool RELU, class T>
void tile_gradients(const Problem& p, int64_t n, const T* x, const T* grad, const T* y, T* masked,
                    const Layout& layout, Tile tile, Scratch& scratch, double* sums, double* products) {
    const double* mean = statistics(p, n, tile, scratch).mean;
    float* center = scratch.rows[0].data();
#pragma omp simd
    for (int64_t c = tile.first; c < tile.last; ++c) {
        center[c] = float(mean[c]);
        sums[c] = products[c] = 0;
    }
    each_span(layout, tile, [&](int64_t s, int64_t offset) NORMLAB_BODY {
        scratch.set_tables<Table>(s, 1, layout);
        for (int64_t start = 0; start < p.S; start += layout.block) {
            const int64_t at = offset + start * layout.channels;
            sum_gradients<K, Table, RELU>(x + at, grad + at, RELU ? y + at : nullptr, RELU ? masked + at : nullptr,
                                          scratch.tables[0],
                                          scratch.span(std::min(layout.block, p.S - start), layout), sums + s,
                                          products + s);
        }
    });
#pragma omp simd
    for (int64_t c = tile.first; c < tile.last; ++c) products[c] -= (mean[c] - center[c]) * sums[c];
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
    const int64_t size = C / p.sets();
    for (int64_t n = 0; n < p.N; ++n) {
        const double *grad = table + 2 * n * C, *product = grad + C, *mean = p.row(n), *rstd = mean + p.sets();
        for (int64_t c = 0; c < C; ++c) {
            average.grad[c] += grad[c];
            average.product[c] += product[c];
        }
        if (p.set == MIX)
            for (int64_t c = 0; c < C; ++c) average.product[c] += (mean[c] - batch_mean[c]) * grad[c];
        for (int64_t start = 0; start < C; start += size)
            for (int64_t c = start; c < start + size; ++c) by_set[c] += rstd[start / size] * product[c];
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

// m, P, Q and R of a tile of sample n, from its sums of gradients.
inline void backward_coefficients(const Problem& p, int64_t n, Tile tile, const double* sums, const double* products,
                                  const BatchAverages& average, Scratch& scratch) {
    const int64_t C = p.C, size = p.set == GROUPS ? C / p.groups : 1;
    const auto [mean, rstd] = statistics(p, n, tile, scratch);
    const double *batch_mean = p.stats, *batch_rstd = batch_mean + C;
    double *level = scratch.first.data(), *tilt = scratch.second.data();
    const double* grad_sums = p.set == BATCH ? average.grad.data() : sums;
    const double* product_sums = p.set == BATCH ? average.product.data() : products;
    const double share = p.set == BATCH ? 1.0 : 1.0 / p.S;
#pragma omp simd
    for (int64_t c = tile.first; c < tile.last; ++c) {
        level[c] = p.weight[c] * grad_sums[c] * share;
        tilt[c] = p.weight[c] * product_sums[c] * share;
    }
    for (int64_t start = tile.first; start < tile.last && size > 1; start += size) {
        average_in_place(level + start, size);
        average_in_place(tilt + start, size);
    }
    // A lone value is its own mean: its output is constant, and rounding must not make that a small gradient.
    const bool alone = p.S * (p.set != BATCH ? size : p.given ? 2 : p.N) == 1;
    const double live = alone ? 0 : 1;
    float *m = scratch.rows[0].data(), *by_grad = scratch.rows[1].data(), *by_x = scratch.rows[2].data();
    float* shift = scratch.rows[3].data();
    auto set = [&](int64_t c, double P, double Q, double R) NORMLAB_BODY {
        m[c] = float(mean[c]);
        by_grad[c] = float(P);
        by_x[c] = float(Q);
        shift[c] = float(R - (mean[c] - m[c]) * Q);
    };
    if (p.set != MIX) {
#pragma omp simd
        for (int64_t c = tile.first; c < tile.last; ++c) {
            const double r = live * rstd[c];
            set(c, r * p.weight[c], -r * r * r * tilt[c], -r * level[c]);
        }
        return;
    }
#pragma omp simd
    for (int64_t c = tile.first; c < tile.last; ++c) {
        const double r = live * rstd[c], gate = p.gate[c], b = batch_rstd[c], w = gate * p.weight[c];
        const double slope = -w * b * b * b * average.product[c];
        set(c, w * b + (1 - gate) * r * p.weight[c], slope - (1 - gate) * r * r * r * tilt[c],
            -w * b * average.grad[c] - (1 - gate) * r * level[c] + slope * (mean[c] - batch_mean[c]));
    }
}

template <int K, class Table, class T>
void combine_tile(const T* x, const T* grad, T* dx, const Problem& p, const Layout& layout, Tile tile,
                  Scratch& scratch) {
    const Span span = scratch.span(p.S, layout);
    each_span(layout, tile, [&](int64_t s, int64_t at) NORMLAB_BODY {
        scratch.set_tables<Table>(s, 4, layout);
        combine<K, Table>(x + at, grad + at, dx + at, scratch.tables, span);
    });
}

template <int K, class Table, class T>
void backward(const Problem& p, const Layout& layout, const T* x, const T* grad, const T* y, T* dx,
              T* dresidual, float* dweight, float* dbias, float* dgate) {
    const int64_t C = p.C;
    const Tiling tiles(p, p.set == GROUPS && std::is_same_v<Table, Splat>);
    double* table = kept_memory<double, USES>(TABLE, 2 * p.N * C);
    BatchAverages averages;
    T* masked = !y ? nullptr : dresidual ? dresidual : dx;
    const T* g = y ? masked : grad;
    const auto add_up = y ? &tile_gradients<K, Table, true, T> : &tile_gradients<K, Table, false, T>;
#pragma omp parallel num_threads(team_size(p.N, p.N * p.C * p.S))
    {
        Scratch scratch(p.C, layout);
        const auto [begin, end] = own_samples(p.N);
        auto finish = [&](int64_t n, Tile tile) {
            const double* sums = table + 2 * n * C;
            const int64_t at = n * layout.sample;
            if (p.set != BATCH || n == end - 1) backward_coefficients(p, n, tile, sums, sums + C, averages, scratch);
            combine_tile<K, Table>(x + at, g + at, dx + at, p, layout, tile, scratch);
        };
        for (int64_t n = begin; n < end; ++n) {
            double* sums = table + 2 * n * C;
            const int64_t at = n * layout.sample;
            for (int64_t i = 0; i < tiles.count(); ++i) {
                add_up(p, n, x + at, grad + at, y ? y + at : nullptr, masked ? masked + at : nullptr, layout,
                       tiles[i], scratch, sums, sums + C);
                if (p.set == GROUPS) finish(n, tiles[i]);
            }
        }
#pragma omp barrier
#pragma omp single
        averages = reduce(p, table, dweight, dbias, dgate);
        if (p.set != GROUPS)
            for (int64_t n = end; n-- > begin;) finish(n, {0, C});
    }
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
    const Layout layout(C, S, nhwc);
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
    const Layout layout(C, S, nhwc);
    dispatch(is_bf16, nhwc, layout.vectors, [&]<int K, class Table, class T>() {
        backward<K, Table>(p, layout, static_cast<const T*>(x), static_cast<const T*>(grad),
                           static_cast<const T*>(y), static_cast<T*>(dx), static_cast<T*>(dresidual), dweight,
                           dbias, dgate);
    });
}
