// The CRF's kernel as an autograd function of C++, with the reduction over the batch; dispatch.py says what it computes.
#pragma once

#include "crf.h"
#include "../runtime/glue.h"

namespace glue {

inline int64_t (*crf_loss)(const CrfCall*);
inline void (*crf_loss_backward)(const CrfCall*);
inline void (*crf_viterbi)(const CrfCall*);
inline PyObject* crf_reference;

enum Reduction : int64_t { NONE, SUM, MEAN, TOKEN_MEAN };  // as in dispatch.py

// The arguments that all calls share, as Python gives them: emissions, mask, three scores, what is legal of each.
struct Chain {
    Tensor emissions, start, transitions, end;
    Optional mask, legal_start, legal_transitions, legal_end;

    explicit Chain(PyObject* const* arguments)
        : emissions(tensor_of(arguments[0])), start(tensor_of(arguments[2])), transitions(tensor_of(arguments[3])),
          end(tensor_of(arguments[4])), mask(optional_of(arguments[1])), legal_start(optional_of(arguments[5])),
          legal_transitions(optional_of(arguments[6])), legal_end(optional_of(arguments[7])) {}

    int64_t B() const { return emissions.size(0); }
    int64_t T() const { return emissions.size(1); }
    int64_t K() const { return emissions.size(2); }

    // Whether the kernel can take them as they are; all else goes to Python, which says what is wrong.
    bool is_taken() const {
        auto floats = [](const Tensor& x) {
            return is_dense_cpu(x) && x.scalar_type() == at::kFloat && x.is_contiguous();
        };
        auto booleans = [](const Optional& x) {
            return !x || (is_dense_cpu(*x) && x->scalar_type() == at::kBool && x->is_contiguous());
        };
        return is_dense_cpu(emissions) && emissions.scalar_type() == at::kFloat && emissions.dim() == 3 &&
               emissions.numel() > 0 && floats(start) && floats(transitions) && floats(end) && start.numel() == K() &&
               (!mask || mask->sizes() == emissions.sizes().slice(0, 2)) && booleans(mask) && booleans(legal_start) &&
               booleans(legal_transitions) && booleans(legal_end);
    }

    CrfCall call() const {
        CrfCall call{};
        call.mask = static_cast<const uint8_t*>(pointer<void>(mask));
        call.legal_start = static_cast<const uint8_t*>(pointer<void>(legal_start));
        call.legal_transitions = static_cast<const uint8_t*>(pointer<void>(legal_transitions));
        call.legal_end = static_cast<const uint8_t*>(pointer<void>(legal_end));
        call.start = start.data_ptr<float>();
        call.transitions = transitions.data_ptr<float>();
        call.end = end.data_ptr<float>();
        call.B = B(), call.T = T(), call.K = K(), call.threads = at::get_num_threads();
        return call;
    }
};

struct CrfResult {
    Tensor loss, tape;
    double scale;
};

inline CrfResult run_crf(const Chain& chain, const Optional& tags, int64_t reduction) {
    const int64_t B = chain.B(), groups = (B + kCrfLanes - 1) / kCrfLanes;
    const Tensor emissions = chain.emissions.contiguous(), losses = fresh({B});
    const Tensor tape = fresh({groups, chain.T(), 3, chain.K(), kCrfLanes});
    CrfCall call = chain.call();
    call.emissions = emissions.data_ptr<float>();
    call.tags = pointer<int64_t>(tags);
    call.loss = losses.data_ptr<float>();
    call.tape = tape.data_ptr<float>();
    const int64_t wrong = crf_loss(&call);
    TORCH_CHECK_VALUE(wrong < 0, "tags must lie in 0..", chain.K() - 1, "; row ", wrong, " of the batch has another");
    if (reduction == NONE) return {losses, tape, 1.0};
    int64_t words = chain.T() * B;
    if (reduction == TOKEN_MEAN && chain.mask) words = std::count_if(call.mask, call.mask + words, [](uint8_t m) { return m; });
    const double scale = reduction == SUM ? 1.0 : 1.0 / (reduction == MEAN ? B : words);
    double sum = 0;
    for (int64_t b = 0; b < B; b++) sum += call.loss[b];
    const Tensor total = fresh({});
    *total.data_ptr<float>() = float(sum * scale);
    return {total, tape, scale};
}

struct Crf : torch::autograd::Function<Crf> {
    static Tensor forward(AutogradContext* ctx, const Tensor& emissions, const Tensor& start,
                          const Tensor& transitions, const Tensor& end, const Chain& chain, const Optional& tags,
                          int64_t reduction) {
        const CrfResult result = run_crf(chain, tags, reduction);
        const Tensor none;
        ctx->save_for_backward({start, transitions, end, result.tape, tags.value_or(none), chain.mask.value_or(none),
                                chain.legal_start.value_or(none), chain.legal_transitions.value_or(none),
                                chain.legal_end.value_or(none), emissions});
        ctx->saved_data["B"] = chain.B();
        ctx->saved_data["scale"] = result.scale;
        ctx->saved_data["reduced"] = reduction != NONE;
        return result.loss;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        const variable_list saved = ctx->get_saved_variables();
        if (needs_reference(grads)) {
            // The scale says whether the losses were added up at all: they are not where it is below 0.
            const double scale = ctx->saved_data["scale"].toDouble();
            variable_list gradients = through_reference(
                crf_reference,
                {saved[9], saved[0], saved[1], saved[2], saved[4], saved[5], saved[6], saved[7], saved[8]}, grads,
                ctx->saved_data["reduced"].toBool() ? scale : -1.0);
            gradients.resize(4);
            gradients.resize(7);
            return gradients;
        }
        const Tensor &tape = saved[3], grad = grads[0].to(at::kFloat).contiguous();
        const int64_t B = ctx->saved_data["B"].toInt(), T = tape.size(1), K = tape.size(3);
        const Tensor of_emissions = fresh({B, T, K}), of_start = fresh({K}), of_transitions = fresh({K, K}),
                     of_end = fresh({K});
        if (saved[5].defined()) of_emissions.zero_();
        CrfCall call{};
        auto bytes = [&](int i) {
            return saved[i].defined() ? static_cast<const uint8_t*>(saved[i].data_ptr()) : nullptr;
        };
        call.start = saved[0].data_ptr<float>();
        call.transitions = saved[1].data_ptr<float>();
        call.end = saved[2].data_ptr<float>();
        call.tape = tape.data_ptr<float>();
        call.tags = saved[4].defined() ? saved[4].data_ptr<int64_t>() : nullptr;
        call.mask = bytes(5), call.legal_start = bytes(6), call.legal_transitions = bytes(7), call.legal_end = bytes(8);
        call.grad_loss = grad.data_ptr<float>();
        call.grad_stride = grad.dim();
        call.grad_scale = float(ctx->saved_data["scale"].toDouble());
        call.grad_emissions = of_emissions.data_ptr<float>();
        call.grad_start = of_start.data_ptr<float>();
        call.grad_transitions = of_transitions.data_ptr<float>();
        call.grad_end = of_end.data_ptr<float>();
        call.B = B, call.T = T, call.K = K, call.threads = at::get_num_threads();
        crf_loss_backward(&call);
        return {of_emissions, of_start, of_transitions, of_end, Tensor(), Tensor(), Tensor()};
    }
};

// crf(emissions, mask, start, transitions, end, legal_start, legal_transitions, legal_end, tags, reduction) -> loss, or
// None for what the kernel does not take.
inline PyObject* call_crf(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&]() -> PyObject* {
        if (!is_plain_call() || !are_exact(arguments, 9)) Py_RETURN_NONE;
        const Chain chain(arguments);
        const Optional given = optional_of(arguments[8]);
        const int64_t reduction = PyLong_AsLongLong(arguments[9]);
        if (PyErr_Occurred()) return nullptr;
        if (!chain.is_taken()) Py_RETURN_NONE;
        if (given && (!is_dense_cpu(*given) || given->scalar_type() != at::kLong ||
                      given->sizes() != chain.emissions.sizes().slice(0, 2)))
            Py_RETURN_NONE;
        Tensor loss;
        {
            const WithoutLock free;
            const Optional tags = given ? Optional(given->contiguous()) : std::nullopt;
            loss = at::GradMode::is_enabled()
                       ? Crf::apply(chain.emissions, chain.start, chain.transitions, chain.end, chain, tags, reduction)
                       : run_crf(chain, tags, reduction).loss;
        }
        return THPVariable_Wrap(loss);
    });
}

// viterbi(emissions, mask, start, transitions, end, legal_start, legal_transitions, legal_end) -> (B, T), or None.
inline PyObject* call_viterbi(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&]() -> PyObject* {
        if (!is_plain_call() || !are_exact(arguments, 8)) Py_RETURN_NONE;
        const Chain chain(arguments);
        if (!chain.is_taken()) Py_RETURN_NONE;
        Tensor path;
        {
            const WithoutLock free;
            const Tensor emissions = chain.emissions.contiguous();
            path = fresh({chain.B(), chain.T()}, at::kLong);
            std::fill_n(path.data_ptr<int64_t>(), path.numel(), 0);
            CrfCall call = chain.call();
            call.emissions = emissions.data_ptr<float>();
            call.path = path.data_ptr<int64_t>();
            crf_viterbi(&call);
        }
        return THPVariable_Wrap(path);
    });
}

}  // namespace glue
