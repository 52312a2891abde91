// Normalization of (N, C, H, W) maps over the channels of each position, with a residual sum and a ReLU, forward and
// backward: layer norm of a pixel, or without a mean root mean square norm.
//
// A pixel's first channel is subtracted before the mean is taken, so that a large common offset costs no digits, and the
// variance is taken about that mean. NCHW maps are worked in runs of positions that stay in the cache, one channel after
// the other; in NHWC a position's channels are a row. Gradients of weight and bias are added up by float32 within a run
// and by float64 over all of them, in the order of the runs: nothing depends on the number of threads.
#include <cmath>
#include <vector>

#include "../runtime/runs.h"

namespace normlab {
namespace {

template <class T>
struct Forward {
    int64_t C, S;
    float eps;
    bool relu;
    const T *x, *residual;
    const float *weight, *bias;
    T* y;
    float *shift, *rstd;  // of each position: the mean less the first channel, and the reciprocal deviation

    // One run of positions of an NCHW sample: `at` is its place in the first channel, `row` in the tables.
    template <bool CENTRED>
    void planes(int64_t at, int64_t row, int64_t count) const {
        float mean[RUN] = {}, square[RUN] = {};
        const T* first = x + at;
        if (CENTRED) {
            for (int64_t c = 1; c < C; ++c)
#pragma omp simd
                for (int64_t s = 0; s < count; ++s) mean[s] += read(x[at + c * S + s]) - read(first[s]);
            const float share = 1.0f / float(C);
#pragma omp simd
            for (int64_t s = 0; s < count; ++s) mean[s] *= share;
        }
        for (int64_t c = 0; c < C; ++c)
#pragma omp simd
            for (int64_t s = 0; s < count; ++s) {
                const float value = read(x[at + c * S + s]);
                const float deviation = CENTRED ? (value - read(first[s])) - mean[s] : value;
                square[s] += deviation * deviation;
            }
#pragma omp simd
        for (int64_t s = 0; s < count; ++s) {
            square[s] = 1.0f / std::sqrt(square[s] / float(C) + eps);
            shift[row + s] = mean[s];
            rstd[row + s] = square[s];
        }
        for (int64_t c = C; c-- > 0;) {  // the last channel is still in the cache
            const float w = weight[c], b = bias[c];
            const T *from = x + at + c * S, *added = residual ? residual + at + c * S : nullptr;
            T* to = y + at + c * S;
#pragma omp simd
            for (int64_t s = 0; s < count; ++s) {
                const float value = read(from[s]);
                const float deviation = CENTRED ? (value - read(first[s])) - mean[s] : value;
                float out = deviation * square[s] * w + b;
                if (added) out += read(added[s]);
                if (relu) out = out < 0.0f ? 0.0f : out;
                write(to + s, out);
            }
        }
    }

    // One run of positions of an NHWC map, a row of channels each.
    template <bool CENTRED, int FIXED>
    void rows(int64_t row, int64_t count) const {
        const int64_t channels = FIXED ? FIXED : C;
        const float *w = weight, *b = bias, share = 1.0f / float(channels), epsilon = eps;
        const bool cut = relu;
        for (int64_t p = row; p < row + count; ++p) {
            const T *from = x + p * channels, *added = residual ? residual + p * channels : nullptr;
            T* to = y + p * channels;
            const vf first = splat(CENTRED ? read(from[0]) : 0.0f);
            vf sum = {}, squares = {};
            if (CENTRED)
                along<FIXED>(channels, [&](int64_t c, auto size)
                                 NORMLAB_BODY { sum += keep(load(from + c, size) - first, size); });
            const float mean = CENTRED ? total_of(sum) * share : 0.0f;
            along<FIXED>(channels, [&](int64_t c, auto size) NORMLAB_BODY {
                const vf deviation = keep((load(from + c, size) - first) - mean, size);
                squares += deviation * deviation;
            });
            const float scale = 1.0f / std::sqrt(total_of(squares) * share + epsilon);
            shift[p] = mean;
            rstd[p] = scale;
            along<FIXED>(channels, [&](int64_t c, auto size) NORMLAB_BODY {
                vf out = ((load(from + c, size) - first) - mean) * scale * load(w + c, size) + load(b + c, size);
                if (added) out += load(added + c, size);
                if (cut) out = (out < vf{}) ? vf{} : out;
                store(to + c, out, size);
            });
        }
    }
};

// With h = (x - mean) rstd and g the gradient of the norm's output: dx = rstd (g w - mean(g w) - h mean(g w h)), the means
// over the channels, the first of them only where a mean was subtracted. After a ReLU a first visit writes g to where the
// second one reads it: `masked`, the gradient of the residual, or dx.
template <class T>
struct Backward {
    int64_t C, S;
    const T *x, *grad, *y;  // y is the output of a ReLU, or null
    const float *weight, *shift, *rstd;
    T *dx, *masked;

    // The gradient at a place, after a ReLU kept for the second visit.
    template <bool RELU>
    static NORMLAB_INLINE float incoming(const T* grad, const T* y, T* masked, int64_t i) {
        const float g = read(grad[i]);
        if (!RELU) return g;
        const float passed = read(y[i]) <= 0.0f ? 0.0f : g;
        write(masked + i, passed);
        return passed;
    }

    template <bool CENTRED, bool RELU>
    void planes(int64_t at, int64_t row, int64_t count, double* sums) const {
        float level[RUN] = {}, tilt[RUN] = {};
        const T *first = x + at, *g_of = RELU ? masked : grad;
        const float *mean = shift + row, *scale = rstd + row;
        for (int64_t c = 0; c < C; ++c) {
            const float w = weight[c];
            float products = 0.0f, grads = 0.0f;
            const int64_t start = at + c * S;
            const T *from = x + start, *arriving = grad + start, *output = y + (RELU ? start : 0);
            T* kept = masked + start;
#pragma omp simd reduction(+ : products, grads)
            for (int64_t s = 0; s < count; ++s) {
                const float g = incoming<RELU>(arriving, output, kept, s), value = read(from[s]);
                const float h = (CENTRED ? (value - read(first[s])) - mean[s] : value) * scale[s];
                level[s] += g * w;
                tilt[s] += g * w * h;
                products += g * h;
                grads += g;
            }
            sums[c] = products;
            sums[C + c] = grads;
        }
        const float share = 1.0f / float(C);
#pragma omp simd
        for (int64_t s = 0; s < count; ++s) {
            level[s] *= CENTRED ? share : 0.0f;
            tilt[s] *= share;
        }
        for (int64_t c = C; c-- > 0;) {  // the last channel is still in the cache
            const float w = weight[c];
            const T *from = x + at + c * S, *gradient = g_of + at + c * S;
            T* to = dx + at + c * S;
#pragma omp simd
            for (int64_t s = 0; s < count; ++s) {
                const float value = read(from[s]);
                const float h = (CENTRED ? (value - read(first[s])) - mean[s] : value) * scale[s];
                write(to + s, (read(gradient[s]) * w - level[s] - h * tilt[s]) * scale[s]);
            }
        }
    }

    template <bool CENTRED, bool RELU, int FIXED>
    void rows(int64_t row, int64_t count, double* sums) const {
        const int64_t channels = FIXED ? FIXED : C;
        std::vector<float> memory(FIXED ? 0 : 2 * channels);
        float fixed[FIXED ? 2 * FIXED : 1] = {};
        float *products = FIXED ? fixed : memory.data(), *grads = products + channels;
        const float *w = weight, share = 1.0f / float(channels);
        for (int64_t p = row; p < row + count; ++p) {
            const int64_t start = p * channels;
            const T *from = x + start, *arriving = grad + start, *output = y + (RELU ? start : 0);
            T *to = dx + start, *passed = masked + start;
            const T* gradient = RELU ? passed : arriving;
            const float mean = shift[p], scale = rstd[p];
            const vf first = splat(CENTRED ? read(from[0]) : 0.0f);
            vf level_of = {}, tilt_of = {};
            along<FIXED>(channels, [&](int64_t c, auto size) NORMLAB_BODY {
                vf g = load(arriving + c, size);
                if (RELU) {
                    g = (load(output + c, size) <= vf{}) ? vf{} : g;
                    store(passed + c, g, size);
                }
                const vf h = keep(((load(from + c, size) - first) - mean) * scale, size), inner = g * load(w + c, size);
                level_of += inner;
                tilt_of += inner * h;
                store(products + c, load(products + c, size) + g * h, size);
                store(grads + c, load(grads + c, size) + g, size);
            });
            double level = 0, tilt = 0;
            totals_of(level_of, tilt_of, &level, &tilt);
            const float less = CENTRED ? float(level) * share : 0.0f, slope = float(tilt) * share;
            along<FIXED>(channels, [&](int64_t c, auto size) NORMLAB_BODY {
                const vf h = ((load(from + c, size) - first) - mean) * scale;
                store(to + c, (load(gradient + c, size) * load(w + c, size) - less - h * slope) * scale, size);
            });
        }
        for (int64_t c = 0; c < channels; ++c) {
            sums[c] = products[c];
            sums[C + c] = grads[c];
        }
    }
};

template <bool CENTRED, class T>
void forward(int64_t N, bool nhwc, const Forward<T>& task) {
    each_part(
        N, task.C, task.S, nhwc,
        [&]<int FIXED>(int64_t, int64_t row, int64_t count) { task.template rows<CENTRED, FIXED>(row, count); },
        [&](int64_t, int64_t at, int64_t row, int64_t count) { task.template planes<CENTRED>(at, row, count); });
}

template <bool CENTRED, bool RELU, class T>
void backward(int64_t N, bool nhwc, const Backward<T>& task, float* dweight, float* dbias) {
    const int64_t C = task.C;
    SumsOfRuns sums(N, task.S, 2 * C);
    each_part(
        N, C, task.S, nhwc,
        [&]<int FIXED>(int64_t i, int64_t row, int64_t count) {
            task.template rows<CENTRED, RELU, FIXED>(row, count, sums.of(i));
        },
        [&](int64_t i, int64_t at, int64_t row, int64_t count) {
            task.template planes<CENTRED, RELU>(at, row, count, sums.of(i));
        });
    const double* total = sums.total();
    for (int64_t c = 0; c < C; ++c) {
        dweight[c] = float(total[c]);
        dbias[c] = float(total[C + c]);
    }
}

template <class Run>
void dispatch(bool is_bf16, bool centred, Run run) {
    auto with_type = [&](auto type) {
        using T = decltype(type);
        centred ? run.template operator()<true, T>() : run.template operator()<false, T>();
    };
    is_bf16 ? with_type(bf16{}) : with_type(float{});
}

}  // namespace
}  // namespace normlab

using namespace normlab;

// shift and rstd have one number a position. Null: residual, weight, bias.
extern "C" void pixels_forward(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int centred, int relu, double eps,
                               const void* x, const void* residual, const float* weight, const float* bias, void* y,
                               float* shift, float* rstd) {
    const std::vector<float> ones(weight ? 0 : C, 1.0f), zeros(bias ? 0 : C, 0.0f);
    if (!weight) weight = ones.data();
    if (!bias) bias = zeros.data();
    dispatch(is_bf16, centred, [&]<bool CENTRED, class T>() {
        forward<CENTRED>(N, nhwc, Forward<T>{C, S, float(eps), bool(relu), static_cast<const T*>(x),
                                             static_cast<const T*>(residual), weight, bias, static_cast<T*>(y), shift, rstd});
    });
}

// y is the output of a ReLU, or null where there was none; then the gradient of the residual is grad itself, else it is
// written to masked, if that is given.
extern "C" void pixels_backward(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int centred, const void* x,
                                const void* grad, const void* y, const float* weight, const float* shift,
                                const float* rstd, void* dx, void* masked, float* dweight, float* dbias) {
    const std::vector<float> ones(weight ? 0 : C, 1.0f);
    if (!weight) weight = ones.data();
    dispatch(is_bf16, centred, [&]<bool CENTRED, class T>() {
        const Backward<T> task{C, S, static_cast<const T*>(x), static_cast<const T*>(grad), static_cast<const T*>(y),
                               weight, shift, rstd, static_cast<T*>(dx), static_cast<T*>(masked ? masked : dx)};
        y ? backward<CENTRED, true>(N, nhwc, task, dweight, dbias)
          : backward<CENTRED, false>(N, nhwc, task, dweight, dbias);
    });
}
