// The convolution kernel as an autograd function of C++; dispatch.py says what it computes.
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/ops/convolution_backward.h>

#include "../runtime/glue.h"

namespace glue {

inline void (*conv_forward)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const void*, const float*,
                            const float*, void*);
inline void (*conv_backward)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const void*, const float*,
                             const void*, void*, float*, float*);
inline decltype(conv_forward) conv_float_forward;
inline decltype(conv_backward) conv_float_backward;
inline int (*conv_types)();
inline int (*conv_lanes)();

constexpr int64_t CONV_CHANNELS = 64;  // of more, whose weights leave the caches, oneDNN is faster
constexpr int64_t CONV_CHANNELS_IN_TILES = 256;  // float32 by stride 1, bfloat16 with AMX: of more nothing has been measured
constexpr int64_t CONV_IMAGES = 32;    // of three channels, which fill no vector of pairs; beyond, oneDNN is faster
constexpr int64_t CONV_NARROW = 4;     // channels of images, which are widened to as many

// How many channels the input or the output may have at most, 0 if the kernel does not take C of them.
inline int64_t conv_most_channels(const Tensor& x, int64_t C, int64_t stride) {
    if (x.scalar_type() == at::kBFloat16) {
        const bool in_tiles = conv_types() & 4;
        if (C % (in_tiles ? 8 : 16) == 0) return in_tiles ? CONV_CHANNELS_IN_TILES : CONV_CHANNELS;
        return !x.requires_grad() && C <= CONV_NARROW && (in_tiles || x.size(0) <= CONV_IMAGES) ? CONV_CHANNELS : 0;
    }
    if (C % conv_lanes() == 0) return stride == 1 ? CONV_CHANNELS_IN_TILES : CONV_CHANNELS;
    return x.requires_grad() ? 0 : CONV_CHANNELS;
}

inline bool conv_takes(const Tensor& x, const Tensor& weight, const Optional& bias, int64_t stride) {
    auto is_row = [](const Tensor& values) {
        return is_dense_cpu(values) && values.scalar_type() == at::kFloat && values.is_contiguous();
    };
    const bool half = x.scalar_type() == at::kBFloat16;
    if (!is_dense_cpu(x) || !(half || x.scalar_type() == at::kFloat) || !(conv_types() & (half ? 1 : 2)) || x.dim() != 4 ||
        x.numel() == 0 || !x.is_contiguous(at::MemoryFormat::ChannelsLast) || !is_row(weight) || (bias && !is_row(*bias)))
        return false;
    const bool is_autocast = at::autocast::is_autocast_enabled(at::kCPU);
    if (half ? !is_autocast || at::autocast::get_autocast_dtype(at::kCPU) != at::kBFloat16 : is_autocast) return false;
    const int64_t C = weight.size(1), K = weight.size(0);
    return weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3 && x.size(1) == C && K % 16 == 0 &&
           std::max(C, K) <= conv_most_channels(x, C, stride) && (stride == 1 || stride == 2) && is_plain_call();
}

inline Tensor run_conv(const Tensor& x, const Tensor& weight, const Optional& bias, int64_t stride) {
    const int64_t N = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3), K = weight.size(0);
    const Tensor y = at::detail::empty_cpu({N, K, (H - 1) / stride + 1, (W - 1) / stride + 1}, x.scalar_type(), false,
                                           at::MemoryFormat::ChannelsLast);
    const auto run = x.scalar_type() == at::kBFloat16 ? conv_forward : conv_float_forward;
    run(N, C, K, H, W, stride, x.data_ptr(), weight.data_ptr<float>(), pointer<float>(bias), y.data_ptr());
    return y;
}

struct Conv : torch::autograd::Function<Conv> {
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Optional& bias,
                          int64_t stride) {
        ctx->save_for_backward({x, weight});
        ctx->saved_data["stride"] = bias ? -stride : stride;  // one entry: each costs as much as a small loop
        return run_conv(x, weight, bias, stride);
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        const variable_list saved = ctx->get_saved_variables();
        const Tensor &x = saved[0], &weight = saved[1];
        const int64_t packed = ctx->saved_data["stride"].toInt(), stride = std::abs(packed);
        const int64_t N = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3), K = weight.size(0);
        const bool of_x = ctx->needs_input_grad(0), of_weight = ctx->needs_input_grad(1),
                   of_bias = packed < 0 && ctx->needs_input_grad(2);
        if (at::GradMode::is_enabled()) {  // a second derivative was asked for: torch's own has one
            auto [dx, dweight, dbias] = at::convolution_backward(
                grads[0], x, weight.to(x.scalar_type()), c10::IntArrayRef{K}, {stride, stride}, {1, 1}, {1, 1}, false,
                {0, 0}, 1, {of_x, of_weight, of_bias});
            return {dx, of_weight ? dweight.to(at::kFloat) : Tensor(), of_bias ? dbias.to(at::kFloat) : Tensor(),
                    Tensor()};
        }
        const Tensor grad = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
        const Tensor dx = of_x ? at::detail::empty_cpu(x.sizes(), x.scalar_type(), false, at::MemoryFormat::ChannelsLast)
                               : Tensor();
        const Tensor dweight = of_weight ? fresh(weight.sizes()) : Tensor(), dbias = of_bias ? fresh({K}) : Tensor();
        const auto run = x.scalar_type() == at::kBFloat16 ? conv_backward : conv_float_backward;
        run(N, C, K, H, W, stride, x.data_ptr(), weight.data_ptr<float>(), grad.data_ptr(), pointer<void>(dx),
            pointer<float>(dweight), pointer<float>(dbias));
        return {dx, dweight, dbias, Tensor()};
    }
};

// conv(x, weight, bias, stride) -> y, or None for what the kernel does not take.
inline PyObject* call_conv(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&]() -> PyObject* {
        if (!THPVariable_CheckExact(arguments[0])) Py_RETURN_NONE;
        const Tensor x = tensor_of(arguments[0]), weight = tensor_of(arguments[1]);
        const Optional bias = optional_of(arguments[2]);
        const int64_t stride = PyLong_AsLongLong(arguments[3]);
        if (PyErr_Occurred()) return nullptr;
        if (!conv_takes(x, weight, bias, stride)) Py_RETURN_NONE;
        Tensor y;
        {
            const WithoutLock free;
            y = at::GradMode::is_enabled() ? Conv::apply(x, weight, bias, stride) : run_conv(x, weight, bias, stride);
        }
        return THPVariable_Wrap(y);
    });
}

}  // namespace glue
