// The squashing functions that stand where norms do, as an autograd function of C++; dispatch.py says what they compute.
#pragma once

#include "../norm/glue_norm.h"

namespace glue {

using SquashForward = void (*)(int64_t, int64_t, int64_t, int, int, int, int, float, float, const void*, const void*,
                               const float*, const float*, void*);
using SquashBackward = void (*)(int64_t, int64_t, int64_t, int, int, int, float, float, const void*, const void*,
                                const void*, const float*, void*, void*, float*, float*, float*, float*);

inline SquashForward squash_forward;
inline SquashBackward squash_backward;
inline PyObject* squash_reference;  // `gradients` in derivatives.py, of plain.py's formula

struct SquashOptions {
    bool is_erf, relu;
};

inline float number(const Tensor& one) {
    return one.scalar_type() == at::kFloat ? *one.data_ptr<float>() : one.detach().to(at::kFloat).item<float>();
}

inline Tensor run_squash(const Tensor& x, const Optional& weight, const Optional& bias, const Optional& residual,
                         const Tensor& alpha, const Optional& shift, const SquashOptions& options) {
    const int64_t N = x.size(0), C = x.size(1), S = x.size(2) * x.size(3);
    const bool nhwc = is_nhwc(x);
    const Optional w = row(weight), b = row(bias);
    const Optional added = residual ? Optional(in_layout(*residual, nhwc)) : std::nullopt;
    const Tensor y = empty_map(x);
    squash_forward(N, C, S, x.scalar_type() == at::kBFloat16, nhwc, options.is_erf, options.relu, number(alpha),
                   shift ? number(*shift) : 0.0f, x.data_ptr(), pointer<void>(added), pointer<float>(w),
                   pointer<float>(b), y.data_ptr());
    return y;
}

struct Squash : torch::autograd::Function<Squash> {
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& alpha, const Optional& shift,
                          const Optional& weight, const Optional& bias, const Optional& residual,
                          const SquashOptions& options) {
        const Tensor y = run_squash(x, weight, bias, residual, alpha, shift, options);
        ctx->save_for_backward({x, options.relu ? y : Tensor(), alpha, shift.value_or(Tensor()),
                                weight.value_or(Tensor()), bias.value_or(Tensor())});
        ctx->saved_data["erf"] = options.is_erf;
        if (residual) ctx->saved_data["residual"] = true;
        ctx->set_materialize_grads(false);
        return y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list gradients(7);
        if (!grads[0].defined()) return gradients;
        const bool is_erf = ctx->saved_data["erf"].toBool();
        const variable_list saved = ctx->get_saved_variables();
        const Tensor &x = saved[0], &y = saved[1], &alpha = saved[2], &shift = saved[3];
        // The context counts those inputs that are tensors: x, alpha, the others that there are, and last the residual.
        const size_t before = 2 + shift.defined() + saved[4].defined() + saved[5].defined();
        const bool with_residual = ctx->saved_data.count("residual") && ctx->needs_input_grad(before);
        if (needs_reference(grads)) {
            const Tensor grad = y.defined() ? grads[0] * (y > 0) : grads[0];
            const variable_list graph = through_reference(
                squash_reference, {x, alpha, shift, saved[4], saved[5]}, {grad}, is_erf ? 1.0 : 0.0);
            std::copy(graph.begin(), graph.end(), gradients.begin());
            if (with_residual) gradients[5] = grad;
            return gradients;
        }
        const int64_t N = x.size(0), C = x.size(1), S = x.size(2) * x.size(3);
        const bool nhwc = is_nhwc(x);
        const Tensor grad = in_layout(grads[0], nhwc), dx = empty_map(x), dweight = fresh({C}), dbias = fresh({C});
        const Tensor dalpha = fresh({1}), dshift = fresh({1});
        const Optional weight = row(saved[4]);
        const Optional masked = with_residual && y.defined() ? Optional(empty_map(x)) : std::nullopt;
        squash_backward(N, C, S, x.scalar_type() == at::kBFloat16, nhwc, is_erf, number(alpha),
                        shift.defined() ? number(shift) : 0.0f, x.data_ptr(), grad.data_ptr(),
                        y.defined() ? y.data_ptr() : nullptr, pointer<float>(weight), dx.data_ptr(),
                        pointer<void>(masked), dweight.data_ptr<float>(), dbias.data_ptr<float>(),
                        dalpha.data_ptr<float>(), dshift.data_ptr<float>());
        auto as = [](const Tensor& gradient, const Tensor& values) {
            return gradient.view(values.sizes()).to(values.scalar_type());
        };
        gradients[0] = dx;
        gradients[1] = as(dalpha, alpha);
        if (shift.defined()) gradients[2] = as(dshift, shift);
        if (saved[4].defined()) gradients[3] = as(dweight, saved[4]);
        if (saved[5].defined()) gradients[4] = as(dbias, saved[5]);
        if (with_residual) gradients[5] = masked ? *masked : grads[0];
        return gradients;
    }
};

// squash(x, weight, bias, residual, alpha, shift, is_erf, relu) -> y, or None for what the kernel does not take.
inline PyObject* call_squash(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&]() -> PyObject* {
        if (!are_exact(arguments, 6) || arguments[0] == Py_None || arguments[4] == Py_None) Py_RETURN_NONE;
        const Tensor &x = THPVariable_Unpack(arguments[0]), &alpha = THPVariable_Unpack(arguments[4]);
        const Optional weight = optional_of(arguments[1]), bias = optional_of(arguments[2]),
                       residual = optional_of(arguments[3]), shift = optional_of(arguments[5]);
        if (!norm_takes(x, residual) || !is_dense_cpu(alpha) || alpha.numel() != 1 ||
            (shift && (!is_dense_cpu(*shift) || shift->numel() != 1)))
            Py_RETURN_NONE;
        const SquashOptions options{arguments[6] == Py_True, arguments[7] == Py_True};
        Tensor y;
        {
            const WithoutLock free;
            y = at::GradMode::is_enabled() ? Squash::apply(x, alpha, shift, weight, bias, residual, options)
                                           : run_squash(x, weight, bias, residual, alpha, shift, options);
        }
        return THPVariable_Wrap(y);
    });
}

}  // namespace glue
