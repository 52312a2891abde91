// The norm kernel as an autograd function of C++; dispatch.py says what it computes, scheme.py how a scheme is described.
#pragma once

#include "../runtime/glue.h"

namespace glue {

using NormForward = void (*)(int64_t, int64_t, int64_t, int, int, int, int, int, int, double, const void*, const void*,
                             const float*, const float*, const float*, void*, double*, float*, float*);
using NormBackward = void (*)(int64_t, int64_t, int64_t, int, int, int, int, int, const void*, const void*,
                              const void*, const float*, const float*, double*, void*, void*, float*, float*, float*);

inline NormForward norm_forward;
inline NormBackward norm_backward;
inline PyObject* norm_second_derivative;  // `gradients_with_graph` in plain.py

enum NormKind : int64_t { BATCH, GROUPS, MIX };  // as in norm.cpp

struct NormScheme {
    int64_t kind, groups;
    bool given, relu;
    double eps;

    // In one number but for eps: an entry of an autograd context costs as much as a small loop.
    int64_t packed() const { return groups << 8 | kind << 2 | int64_t(given) << 1 | int64_t(relu); }
    static NormScheme unpacked(int64_t bits, double eps) {
        return {bits >> 2 & 3, bits >> 8, bool(bits >> 1 & 1), bool(bits & 1), eps};
    }
};

inline bool norm_takes(const Tensor& x, const Optional& residual) {
    const auto type = x.scalar_type();
    return is_dense_cpu(x) && (type == at::kFloat || type == at::kBFloat16) && x.dim() == 4 && x.numel() > 0 &&
           (x.is_contiguous() || x.is_contiguous(at::MemoryFormat::ChannelsLast)) &&
           (!residual || (residual->scalar_type() == type && residual->sizes() == x.sizes())) && is_plain_call();
}

// A 1x1 map lies both ways; as NHWC it is one long row a sample.
inline bool is_nhwc(const Tensor& x) { return !x.is_contiguous() || x.size(2) * x.size(3) == 1; }

inline Tensor in_layout(const Tensor& x, bool nhwc) {
    return x.contiguous(nhwc ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

inline Tensor empty_map(const Tensor& like) {
    return at::detail::empty_cpu(like.sizes(), like.scalar_type(), false,
                                 like.is_contiguous() ? at::MemoryFormat::Contiguous
                                                      : at::MemoryFormat::ChannelsLast);
}

inline Optional row(const Optional& values) {
    if (!values || !values->defined()) return std::nullopt;
    if (values->scalar_type() == at::kFloat && values->is_contiguous()) return values;
    return values->detach().to(at::kFloat).contiguous();
}

struct NormResult {
    Tensor y, mean, var, stats;
};

inline NormResult run_norm(const Tensor& x, const Optional& weight, const Optional& bias, const Optional& gate,
                           const Optional& residual, const Optional& mean, const Optional& var,
                           const NormScheme& scheme) {
    const int64_t N = x.size(0), C = x.size(1), S = x.size(2) * x.size(3);
    const bool nhwc = is_nhwc(x);
    const Optional w = row(weight), b = row(bias), g = row(gate);
    const Optional added = residual ? Optional(in_layout(*residual, nhwc)) : std::nullopt;
    auto statistic = [&](const Optional& given) {
        if (scheme.given) return *row(given);
        return scheme.kind == GROUPS ? fresh({N, scheme.groups}) : fresh({C});
    };
    const int64_t rows = scheme.kind == BATCH ? 1 : scheme.kind == GROUPS ? N : 1 + N;
    const int64_t sets = scheme.kind == GROUPS ? scheme.groups : C;
    const NormResult result{empty_map(x), statistic(mean), statistic(var), fresh({rows, 2, sets}, at::kDouble)};
    norm_forward(N, C, S, x.scalar_type() == at::kBFloat16, nhwc, scheme.kind, scheme.groups, scheme.given, scheme.relu,
                 scheme.eps, x.data_ptr(), pointer<void>(added), pointer<float>(w), pointer<float>(b), pointer<float>(g),
                 result.y.data_ptr(), result.stats.data_ptr<double>(), result.mean.data_ptr<float>(),
                 result.var.data_ptr<float>());
    return result;
}

// Returns the gradients of x, weight, bias, gate and residual through plain operations of Python's.
variable_list norm_graph_of_gradients(const variable_list& saved, const Tensor& grad, const NormScheme& scheme);

struct Norm : torch::autograd::Function<Norm> {
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Optional& weight, const Optional& bias,
                          const Optional& gate, const Optional& residual, const NormScheme& scheme,
                          const Optional& mean, const Optional& var, NormResult* result) {
        *result = run_norm(x, weight, bias, gate, residual, mean, var, scheme);
        ctx->save_for_backward({x, scheme.relu ? result->y : Tensor(), weight.value_or(Tensor()),
                                bias.value_or(Tensor()), gate.value_or(Tensor()), result->stats, result->mean,
                                result->var});
        ctx->saved_data["scheme"] = scheme.packed();
        ctx->saved_data["eps"] = scheme.eps;
        if (residual) ctx->saved_data["residual"] = true;
        ctx->set_materialize_grads(false);
        return result->y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list gradients(9);
        if (!grads[0].defined()) return gradients;
        const NormScheme scheme =
            NormScheme::unpacked(ctx->saved_data["scheme"].toInt(), ctx->saved_data["eps"].toDouble());
        const variable_list saved = ctx->get_saved_variables();
        const Tensor &x = saved[0], &y = saved[1];
        const size_t rows = saved[2].defined() + saved[3].defined() + saved[4].defined();
        // The context counts those inputs that are tensors: x, the rows that there are, and last the residual.
        const bool with_residual = ctx->saved_data.count("residual") && ctx->needs_input_grad(1 + rows);
        if (at::GradMode::is_enabled()) {  // a second derivative was asked for
            variable_list graph = norm_graph_of_gradients(saved, grads[0], scheme);
            if (!with_residual) graph[4] = Tensor();
            std::copy(graph.begin(), graph.end(), gradients.begin());
            return gradients;
        }
        const int64_t N = x.size(0), C = x.size(1), S = x.size(2) * x.size(3);
        const bool nhwc = is_nhwc(x);
        const Tensor grad = in_layout(grads[0], nhwc), dx = empty_map(x), dweight = fresh({C}), dbias = fresh({C});
        const Optional weight = row(saved[2]), gate = row(saved[4]);
        const Optional dgate = scheme.kind == MIX ? Optional(fresh({C})) : std::nullopt;
        const Optional masked = with_residual && scheme.relu ? Optional(empty_map(x)) : std::nullopt;
        norm_backward(N, C, S, x.scalar_type() == at::kBFloat16, nhwc, scheme.kind, scheme.groups, scheme.given,
                      x.data_ptr(), grad.data_ptr(), scheme.relu ? y.data_ptr() : nullptr, pointer<float>(weight),
                      pointer<float>(gate), saved[5].data_ptr<double>(), dx.data_ptr(), pointer<void>(masked),
                      dweight.data_ptr<float>(), dbias.data_ptr<float>(), pointer<float>(dgate));
        auto as = [](const Tensor& gradient, const Tensor& values) {
            return gradient.scalar_type() == values.scalar_type() ? gradient : gradient.to(values.scalar_type());
        };
        gradients[0] = dx;
        if (saved[2].defined()) gradients[1] = as(dweight, saved[2]);
        if (saved[3].defined()) gradients[2] = as(dbias, saved[3]);
        if (saved[4].defined() && dgate) gradients[3] = as(*dgate, saved[4]);
        if (with_residual) gradients[4] = masked ? *masked : grads[0];
        return gradients;
    }
};

inline variable_list norm_graph_of_gradients(const variable_list& saved, const Tensor& grad,
                                             const NormScheme& scheme) {
    const WithLock lock;
    auto wrapped = [](const Tensor& tensor) { return THPVariable_Wrap(tensor); };  // None for an undefined one
    PyObject* answer = PyObject_CallFunction(
        norm_second_derivative, "NNNNNNNNLLOdO", wrapped(saved[0]), wrapped(saved[1]), wrapped(saved[2]),
        wrapped(saved[3]), wrapped(saved[4]), wrapped(saved[6]), wrapped(saved[7]), wrapped(grad),
        (long long)scheme.kind, (long long)scheme.groups, scheme.given ? Py_True : Py_False, scheme.eps,
        scheme.relu ? Py_True : Py_False);
    if (!answer) {
        python_error error;
        error.persist();
        throw std::move(error);
    }
    variable_list gradients;
    for (Py_ssize_t i = 0; i < PyTuple_Size(answer); i++)
        gradients.push_back(optional_of(PyTuple_GET_ITEM(answer, i)).value_or(Tensor()));
    Py_DECREF(answer);
    return gradients;
}

// norm(x, weight, bias, gate, residual, mean, var, kind, groups, given, eps, relu) -> (y, mean, var), or None for
// what the kernel does not take.
inline PyObject* call_norm(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&]() -> PyObject* {
        if (!THPVariable_CheckExact(arguments[0])) Py_RETURN_NONE;
        const Tensor& x = THPVariable_Unpack(arguments[0]);
        const Optional residual = optional_of(arguments[4]);
        if (!norm_takes(x, residual)) Py_RETURN_NONE;
        const Optional weight = optional_of(arguments[1]), bias = optional_of(arguments[2]),
                       gate = optional_of(arguments[3]), mean = optional_of(arguments[5]),
                       var = optional_of(arguments[6]);
        const NormScheme scheme{PyLong_AsLongLong(arguments[7]), PyLong_AsLongLong(arguments[8]),
                                arguments[9] == Py_True, arguments[11] == Py_True, PyFloat_AsDouble(arguments[10])};
        if (PyErr_Occurred()) return nullptr;
        NormResult result;
        {
            const WithoutLock free;
            if (at::GradMode::is_enabled())
                result.y = Norm::apply(x, weight, bias, gate, residual, scheme, mean, var, &result);
            else
                result = run_norm(x, weight, bias, gate, residual, mean, var, scheme);
        }
        PyObject* answer = PyTuple_New(3);
        PyTuple_SET_ITEM(answer, 0, THPVariable_Wrap(result.y));
        PyTuple_SET_ITEM(answer, 1, THPVariable_Wrap(result.mean));
        PyTuple_SET_ITEM(answer, 2, THPVariable_Wrap(result.var));
        return answer;
    });
}

// track(running_mean, running_var, count_of_batches, mean, var, share, correction) -> True, or None if not done here.
// Moves the running estimates by share towards mean and correction * var, and counts the batch.
inline PyObject* call_track(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&]() -> PyObject* {
        Tensor rows[5];
        for (int i = 0; i < 5; i++) {
            if (!THPVariable_CheckExact(arguments[i])) Py_RETURN_NONE;
            rows[i] = tensor_of(arguments[i]);
            if (!is_dense_cpu(rows[i]) || !rows[i].is_contiguous() ||
                rows[i].scalar_type() != (i == 2 ? at::kLong : at::kFloat))
                Py_RETURN_NONE;
        }
        const float share = float(PyFloat_AsDouble(arguments[5])), correction = float(PyFloat_AsDouble(arguments[6]));
        if (PyErr_Occurred()) return nullptr;
        const int64_t C = rows[0].numel();
        if (rows[1].numel() != C || rows[3].numel() != C || rows[4].numel() != C || !is_plain_call()) Py_RETURN_NONE;
        float *mean = rows[0].data_ptr<float>(), *var = rows[1].data_ptr<float>();
        const float *new_mean = rows[3].data_ptr<float>(), *new_var = rows[4].data_ptr<float>();
        for (int64_t c = 0; c < C; c++) {
            mean[c] += share * (new_mean[c] - mean[c]);
            var[c] += share * (correction * new_var[c] - var[c]);
        }
        ++*rows[2].data_ptr<int64_t>();
        for (int i = 0; i < 3; i++) rows[i].unsafeGetTensorImpl()->bump_version();
        Py_RETURN_TRUE;
    });
}

}  // namespace glue
