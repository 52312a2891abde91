// The norm of each position as an autograd function of C++; dispatch.py says what it computes.
#pragma once

#include "../norm/glue_norm.h"

namespace glue {

using PixelsForward = void (*)(int64_t, int64_t, int64_t, int, int, int, int, double, const void*, const void*,
                               const float*, const float*, void*, float*, float*);
using PixelsBackward = void (*)(int64_t, int64_t, int64_t, int, int, int, const void*, const void*, const void*,
                                const float*, const float*, const float*, void*, void*, float*, float*);

inline PixelsForward pixels_forward;
inline PixelsBackward pixels_backward;
inline PyObject* pixels_reference;  // `gradients` in derivatives.py, of plain.py's formula; eps is negative without a mean

struct PixelsOptions {
    bool centred, relu;
    double eps;
};

struct PixelsResult {
    Tensor y, shift, rstd;
};

inline PixelsResult run_pixels(const Tensor& x, const Optional& weight, const Optional& bias, const Optional& residual,
                               const PixelsOptions& options) {
    const int64_t N = x.size(0), C = x.size(1), S = x.size(2) * x.size(3);
    const bool nhwc = is_nhwc(x);
    const Optional w = row(weight), b = row(bias);
    const Optional added = residual ? Optional(in_layout(*residual, nhwc)) : std::nullopt;
    const PixelsResult result{empty_map(x), fresh({N * S}), fresh({N * S})};
    pixels_forward(N, C, S, x.scalar_type() == at::kBFloat16, nhwc, options.centred, options.relu, options.eps,
                   x.data_ptr(), pointer<void>(added), pointer<float>(w), pointer<float>(b), result.y.data_ptr(),
                   result.shift.data_ptr<float>(), result.rstd.data_ptr<float>());
    return result;
}

struct Pixels : torch::autograd::Function<Pixels> {
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Optional& weight, const Optional& bias,
                          const Optional& residual, const PixelsOptions& options) {
        const PixelsResult result = run_pixels(x, weight, bias, residual, options);
        ctx->save_for_backward({x, options.relu ? result.y : Tensor(), weight.value_or(Tensor()),
                                bias.value_or(Tensor()), result.shift, result.rstd});
        ctx->saved_data["centred"] = options.centred;
        ctx->saved_data["eps"] = options.eps;
        if (residual) ctx->saved_data["residual"] = true;
        ctx->set_materialize_grads(false);
        return result.y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list gradients(5);
        if (!grads[0].defined()) return gradients;
        const bool centred = ctx->saved_data["centred"].toBool();
        const variable_list saved = ctx->get_saved_variables();
        const Tensor &x = saved[0], &y = saved[1];
        // The context counts those inputs that are tensors: x, the rows that there are, and last the residual.
        const size_t rows = saved[2].defined() + saved[3].defined();
        const bool with_residual = ctx->saved_data.count("residual") && ctx->needs_input_grad(1 + rows);
        if (needs_reference(grads)) {
            const Tensor grad = y.defined() ? grads[0] * (y > 0) : grads[0];
            const double eps = ctx->saved_data["eps"].toDouble();
            const variable_list graph =
                through_reference(pixels_reference, {x, saved[2], saved[3]}, {grad}, centred ? eps : -eps);
            std::copy(graph.begin(), graph.end(), gradients.begin());
            if (with_residual) gradients[3] = grad;
            return gradients;
        }
        const int64_t N = x.size(0), C = x.size(1), S = x.size(2) * x.size(3);
        const bool nhwc = is_nhwc(x);
        const Tensor grad = in_layout(grads[0], nhwc), dx = empty_map(x), dweight = fresh({C}), dbias = fresh({C});
        const Optional weight = row(saved[2]);
        const Optional masked = with_residual && y.defined() ? Optional(empty_map(x)) : std::nullopt;
        pixels_backward(N, C, S, x.scalar_type() == at::kBFloat16, nhwc, centred, x.data_ptr(), grad.data_ptr(),
                        y.defined() ? y.data_ptr() : nullptr, pointer<float>(weight), saved[4].data_ptr<float>(),
                        saved[5].data_ptr<float>(), dx.data_ptr(), pointer<void>(masked), dweight.data_ptr<float>(),
                        dbias.data_ptr<float>());
        gradients[0] = dx;
        if (saved[2].defined()) gradients[1] = dweight.to(saved[2].scalar_type());
        if (saved[3].defined()) gradients[2] = dbias.to(saved[3].scalar_type());
        if (with_residual) gradients[3] = masked ? *masked : grads[0];
        return gradients;
    }
};

// pixels(x, weight, bias, residual, centred, eps, relu) -> y, or None for what the kernel does not take.
inline PyObject* call_pixels(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&]() -> PyObject* {
        if (!are_exact(arguments, 4) || arguments[0] == Py_None) Py_RETURN_NONE;
        const Tensor& x = THPVariable_Unpack(arguments[0]);
        const Optional weight = optional_of(arguments[1]), bias = optional_of(arguments[2]),
                       residual = optional_of(arguments[3]);
        if (!norm_takes(x, residual)) Py_RETURN_NONE;
        const PixelsOptions options{arguments[4] == Py_True, arguments[6] == Py_True, PyFloat_AsDouble(arguments[5])};
        if (PyErr_Occurred()) return nullptr;
        Tensor y;
        {
            const WithoutLock free;
            y = at::GradMode::is_enabled() ? Pixels::apply(x, weight, bias, residual, options)
                                           : run_pixels(x, weight, bias, residual, options).y;
        }
        return THPVariable_Wrap(y);
    });
}

}  // namespace glue
