// The shortcut that halves a map, and the mean over positions, as autograd functions of C++; dispatch.py says what they do.
#pragma once

#include <ATen/ops/zeros.h>

#include "../runtime/glue.h"

namespace glue {

using HalveCall = void (*)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const void*, void*);
using MeanCall = void (*)(int64_t, int64_t, int64_t, int, const void*, void*);

inline HalveCall halve_forward, halve_backward;
inline MeanCall mean_forward, mean_backward;

inline bool maps_take(const Tensor& x) {
    const auto type = x.scalar_type();
    return is_dense_cpu(x) && (type == at::kFloat || type == at::kBFloat16) && x.dim() == 4 && x.numel() > 0 &&
           x.is_contiguous(at::MemoryFormat::ChannelsLast) && is_plain_call();
}

inline Tensor empty_nhwc(at::IntArrayRef sizes, at::ScalarType type) {
    return at::detail::empty_cpu(sizes, type, false, at::MemoryFormat::ChannelsLast);
}

struct Halve : torch::autograd::Function<Halve> {
    static Tensor forward(AutogradContext* ctx, const Tensor& x, int64_t extra) {
        const int64_t N = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
        if (ctx) ctx->saved_data["sizes"] = std::vector<int64_t>{N, C, H, W, extra};
        const Tensor y = empty_nhwc({N, C + extra, (H + 1) / 2, (W + 1) / 2}, x.scalar_type());
        halve_forward(N, C, H, W, extra, x.element_size(), x.data_ptr(), y.data_ptr());
        return y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        const std::vector<int64_t> sizes = ctx->saved_data["sizes"].toIntVector();
        const int64_t N = sizes[0], C = sizes[1], H = sizes[2], W = sizes[3], extra = sizes[4];
        if (at::GradMode::is_enabled()) {  // a second derivative was asked for
            Tensor dx = at::zeros({N, C, H, W}, grads[0].options());
            dx.slice(2, 0, H, 2).slice(3, 0, W, 2).copy_(grads[0].slice(1, 0, C));
            return {dx, Tensor()};
        }
        const Tensor grad = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
        const Tensor dx = empty_nhwc({N, C, H, W}, grad.scalar_type());
        halve_backward(N, C, H, W, extra, grad.element_size(), grad.data_ptr(), dx.data_ptr());
        return {dx, Tensor()};
    }
};

struct Mean : torch::autograd::Function<Mean> {
    static Tensor forward(AutogradContext* ctx, const Tensor& x) {
        const int64_t N = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
        if (ctx) ctx->saved_data["sizes"] = std::vector<int64_t>{N, C, H, W};
        const Tensor y = fresh({N, C}, x.scalar_type());
        mean_forward(N, C, H * W, x.scalar_type() == at::kBFloat16, x.data_ptr(), y.data_ptr());
        return y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        const std::vector<int64_t> sizes = ctx->saved_data["sizes"].toIntVector();
        const int64_t N = sizes[0], C = sizes[1], S = sizes[2] * sizes[3];
        if (at::GradMode::is_enabled()) return {(grads[0] / double(S)).view({N, C, 1, 1}).expand(sizes)};
        const Tensor grad = grads[0].contiguous(), dx = empty_nhwc(sizes, grad.scalar_type());
        mean_backward(N, C, S, grad.scalar_type() == at::kBFloat16, grad.data_ptr(), dx.data_ptr());
        return {dx};
    }
};

template <class Function, class... More>
PyObject* call_map(PyObject* argument, More... more) {
    if (!THPVariable_CheckExact(argument)) Py_RETURN_NONE;
    const Tensor x = tensor_of(argument);
    if (PyErr_Occurred()) return nullptr;
    if (!maps_take(x)) Py_RETURN_NONE;
    Tensor y;
    {
        const WithoutLock free;
        y = at::GradMode::is_enabled() ? Function::apply(x, more...) : Function::forward(nullptr, x, more...);
    }
    return THPVariable_Wrap(y);
}

// halve(x, extra) -> y, mean(x) -> y; None for what they do not take.
inline PyObject* call_halve(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&] { return call_map<Halve>(arguments[0], int64_t(PyLong_AsLongLong(arguments[1]))); });
}

inline PyObject* call_mean(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&] { return call_map<Mean>(arguments[0]); });
}

}  // namespace glue
