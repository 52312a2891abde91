// y = relu?(f(alpha x + shift) * weight_c + bias_c + residual?) with f = tanh or erf, forward and backward: norms that take
// no statistics. One visit of the map each way; the backward pass computes f anew, which costs less than to keep it.
//
// Gradients of the rows and of alpha and shift are added up by float32 within a plane or a run of positions and by float64
// over all of them, in order.
#include <cmath>
#include <vector>

#include "../runtime/runs.h"
#include "../runtime/vector_math.h"

namespace normlab {
namespace {

// tanh with a relative error of some 1e-7 for arguments of any size, where tanh_fast's grows towards 0: a squashed map may be
// small everywhere (polynomial: Cephes, tanhf).
struct Tanh {
    template <class V>
    static NORMLAB_INLINE V value(V x) {
        const V z = x * x, size = size_of(x);
        V p = V{} - 5.70498872745e-3f;
        p = p * z + 2.06390887954e-2f;
        p = p * z - 5.37397155531e-2f;
        p = p * z + 1.33314422036e-1f;
        p = p * z - 3.33332819422e-1f;
        const V small = p * z * x + x, large = 1.0f - 2.0f / (exp_fast(2.0f * size) + 1.0f);
        return size < 0.625f ? small : with_sign(large, x);
    }
    template <class V>
    static NORMLAB_INLINE V slope(V, V y) {
        return 1.0f - y * y;
    }
};

// erf likewise (polynomials: Cephes, erff and erfcf).
struct Erf {
    template <class V>
    static NORMLAB_INLINE V value(V x) {
        const V z = x * x, size = size_of(x);
        V t = V{} + 7.853861353153693e-5f;
        t = t * z - 8.010193625184903e-4f;
        t = t * z + 5.188327685732524e-3f;
        t = t * z - 2.685381193529856e-2f;
        t = t * z + 1.128358514861418e-1f;
        t = t * z - 3.761262582423300e-1f;
        t = t * z + 1.128379165726710e+0f;
        const V bounded = size < 1.0f ? V{} + 1.0f : size, inverse = 1.0f / bounded, q = inverse * inverse;
        V p = V{} + 2.326819970068386e-2f;
        p = p * q - 1.387039388740657e-1f;
        p = p * q + 3.687424674597105e-1f;
        p = p * q - 5.824733027278666e-1f;
        p = p * q + 6.210004621745983e-1f;
        p = p * q - 4.944515323274145e-1f;
        p = p * q + 3.404879937665872e-1f;
        p = p * q - 2.741127028184656e-1f;
        p = p * q + 5.638259427386472e-1f;
        V r = V{} - 1.047766399936249e+1f;
        r = r * q + 1.297719955372516e+1f;
        r = r * q - 7.495518717768503e+0f;
        r = r * q + 2.921019019210786e+0f;
        r = r * q - 1.015265279202700e+0f;
        r = r * q + 4.218463358204948e-1f;
        r = r * q - 2.820767439740514e-1f;
        r = r * q + 5.641895067754075e-1f;
        const V rest = exp_fast(-bounded * bounded) * inverse * (bounded < 2.0f ? p : r);
        return size < 1.0f ? x * t : with_sign(1.0f - rest, x);
    }
    template <class V>
    static NORMLAB_INLINE V slope(V x, V) {
        return 1.12837917f * exp_fast(-x * x);
    }
};

template <class T>
struct Task {
    int64_t C, S;
    float alpha, shift;
    bool relu;
    const T *x, *residual;  // forward
    const float *weight, *bias;
    T* y;
    const T *grad, *output;  // backward; output is that of a ReLU, or null
    T *dx, *masked;          // masked: the gradient of the residual, or null

    template <class F, bool ADDED>
    void forward_planes(int64_t at, int64_t count) const {
        for (int64_t c = 0; c < C; ++c) {
            const float w = weight[c], b = bias[c], scale = alpha, offset = shift;
            const T *from = x + at + c * S, *added = residual + (ADDED ? at + c * S : 0);
            T* to = y + at + c * S;
            const bool cut = relu;
#pragma omp simd
            for (int64_t s = 0; s < count; ++s) {
                float value = F::value(scale * read(from[s]) + offset) * w + b;
                if (ADDED) value += read(added[s]);
                if (cut) value = value < 0.0f ? 0.0f : value;
                write(to + s, value);
            }
        }
    }

    template <class F, bool ADDED, int FIXED>
    void forward_rows(int64_t row, int64_t count) const {
        const int64_t channels = FIXED ? FIXED : C;
        const float scale = alpha, offset = shift;
        const bool cut = relu;
        for (int64_t p = row; p < row + count; ++p) {
            const T *from = x + p * channels, *added = residual + (ADDED ? p * channels : 0);
            const float *w = weight, *b = bias;
            T* to = y + p * channels;
            along<FIXED>(channels, [&](int64_t c, auto size) NORMLAB_BODY {
                vf value = F::value(scale * load(from + c, size) + offset) * load(w + c, size) + load(b + c, size);
                if (ADDED) value += load(added + c, size);
                if (cut) value = (value < vf{}) ? vf{} : value;
                store(to + c, value, size);
            });
        }
    }

    template <bool RELU>
    static NORMLAB_INLINE float incoming(const T* grad, const T* output, T* masked, int64_t i) {
        const float g = read(grad[i]);
        if (!RELU) return g;
        const float passed = read(output[i]) <= 0.0f ? 0.0f : g;
        if (masked) write(masked + i, passed);
        return passed;
    }

    // sums: for each channel of weight, of bias, and its part of alpha's and of shift's gradient.
    template <class F, bool RELU>
    void backward_planes(int64_t at, int64_t count, double* sums) const {
        for (int64_t c = 0; c < C; ++c) {
            const float w = weight[c], scale = alpha, offset = shift;
            const int64_t start = at + c * S;
            const T *from = x + start, *arriving = grad + start, *seen = RELU ? output + start : nullptr;
            T *to = dx + start, *kept = masked ? masked + start : nullptr;
            float products = 0.0f, grads = 0.0f, by_scale = 0.0f, by_offset = 0.0f;
#pragma omp simd reduction(+ : products, grads, by_scale, by_offset)
            for (int64_t s = 0; s < count; ++s) {
                const float g = incoming<RELU>(arriving, seen, kept, s), value = read(from[s]);
                const float u = scale * value + offset, f = F::value(u), inner = g * w * F::slope(u, f);
                products += g * f;
                grads += g;
                by_scale += inner * value;
                by_offset += inner;
                write(to + s, inner * scale);
            }
            sums[c] = products;
            sums[C + c] = grads;
            sums[2 * C + c] = by_scale;
            sums[3 * C + c] = by_offset;
        }
    }

    template <class F, bool RELU, int FIXED>
    void backward_rows(int64_t row, int64_t count, double* sums) const {
        const int64_t channels = FIXED ? FIXED : C;
        std::vector<float> memory(FIXED ? 0 : 4 * channels);
        float fixed[FIXED ? 4 * FIXED : 1] = {};
        float* products = FIXED ? fixed : memory.data();
        float *grads = products + channels, *by_scale = grads + channels, *by_offset = by_scale + channels;
        const float scale = alpha, offset = shift, *w = weight;
        for (int64_t p = row; p < row + count; ++p) {
            const int64_t start = p * channels;
            const T *from = x + start, *arriving = grad + start, *seen = RELU ? output + start : nullptr;
            T *to = dx + start, *kept = masked ? masked + start : nullptr;
            along<FIXED>(channels, [&](int64_t c, auto size) NORMLAB_BODY {
                vf g = load(arriving + c, size);
                if (RELU) {
                    g = (load(seen + c, size) <= vf{}) ? vf{} : g;
                    if (kept) store(kept + c, g, size);
                }
                const vf value = load(from + c, size), u = scale * value + offset, f = F::value(u);
                const vf inner = g * load(w + c, size) * F::slope(u, f);
                auto add = [&](float* sums, vf term) NORMLAB_BODY { store(sums + c, load(sums + c, size) + term, size); };
                add(products, g * f);
                add(grads, g);
                add(by_scale, inner * value);
                add(by_offset, inner);
                store(to + c, inner * scale, size);
            });
        }
        for (int64_t c = 0; c < 4 * channels; ++c) sums[c] = products[c];
    }
};

template <class F, bool ADDED, class T>
void forward(int64_t N, bool nhwc, const Task<T>& task) {
    each_part(
        N, task.C, task.S, nhwc,
        [&]<int FIXED>(int64_t, int64_t row, int64_t count) {
            task.template forward_rows<F, ADDED, FIXED>(row, count);
        },
        [&](int64_t, int64_t at, int64_t, int64_t count) { task.template forward_planes<F, ADDED>(at, count); });
}

template <class F, bool RELU, class T>
void backward(int64_t N, bool nhwc, const Task<T>& task, float* dweight, float* dbias, float* dalpha, float* dshift) {
    const int64_t C = task.C;
    SumsOfRuns sums(N, task.S, 4 * C);
    each_part(
        N, C, task.S, nhwc,
        [&]<int FIXED>(int64_t i, int64_t row, int64_t count) {
            task.template backward_rows<F, RELU, FIXED>(row, count, sums.of(i));
        },
        [&](int64_t i, int64_t at, int64_t, int64_t count) {
            task.template backward_planes<F, RELU>(at, count, sums.of(i));
        });
    const double* total = sums.total();
    double by_scale = 0, by_offset = 0;
    for (int64_t c = 0; c < C; ++c) {
        dweight[c] = float(total[c]);
        dbias[c] = float(total[C + c]);
        by_scale += total[2 * C + c];
        by_offset += total[3 * C + c];
    }
    *dalpha = float(by_scale);
    *dshift = float(by_offset);
}

template <class Run>
void dispatch(bool is_bf16, bool is_erf, Run run) {
    auto with_type = [&](auto type) {
        using T = decltype(type);
        is_erf ? run.template operator()<Erf, T>() : run.template operator()<Tanh, T>();
    };
    is_bf16 ? with_type(bf16{}) : with_type(float{});
}

}  // namespace
}  // namespace normlab

using namespace normlab;

// Null: residual, weight, bias.
extern "C" void squash_forward(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int is_erf, int relu, float alpha,
                               float shift, const void* x, const void* residual, const float* weight, const float* bias,
                               void* y) {
    const std::vector<float> ones(weight ? 0 : C, 1.0f), zeros(bias ? 0 : C, 0.0f);
    dispatch(is_bf16, is_erf, [&]<class F, class T>() {
        const Task<T> task{C, S, alpha, shift, bool(relu), static_cast<const T*>(x), static_cast<const T*>(residual),
                           weight ? weight : ones.data(), bias ? bias : zeros.data(), static_cast<T*>(y)};
        residual ? forward<F, true>(N, nhwc, task) : forward<F, false>(N, nhwc, task);
    });
}

// output is that of a ReLU, or null where there was none; then the gradient of the residual is grad itself, else it is
// written to masked, if that is given.
extern "C" void squash_backward(int64_t N, int64_t C, int64_t S, int is_bf16, int nhwc, int is_erf, float alpha, float shift,
                                const void* x, const void* grad, const void* output, const float* weight, void* dx,
                                void* masked, float* dweight, float* dbias, float* dalpha, float* dshift) {
    const std::vector<float> ones(weight ? 0 : C, 1.0f);
    dispatch(is_bf16, is_erf, [&]<class F, class T>() {
        const Task<T> task{C,       S,
                           alpha,   shift,
                           false,   static_cast<const T*>(x),
                           nullptr, weight ? weight : ones.data(),
                           nullptr, nullptr,
                           static_cast<const T*>(grad), static_cast<const T*>(output),
                           static_cast<T*>(dx), static_cast<T*>(masked)};
        output ? backward<F, true>(N, nhwc, task, dweight, dbias, dalpha, dshift)
               : backward<F, false>(N, nhwc, task, dweight, dbias, dalpha, dshift);
    });
}
