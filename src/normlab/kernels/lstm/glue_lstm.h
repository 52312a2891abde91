// The LSTM's kernel as an autograd function of C++, for all directions of a layer; dispatch.py says what it computes.
#pragma once

#include <mutex>
#include <numeric>

#include "../runtime/glue.h"
#include "lstm.h"

namespace glue {

inline void (*lstm_forward)(const LstmCall*);
inline void (*lstm_backward)(const LstmCall*);
inline Sgemm sgemm;
inline PyObject* lstm_reference;

// Memory of some megabytes that is given back to us and not to the system: fresh pages cost as much as the arithmetic.
class Pool {
  public:
    Tensor take(int64_t size) {
        Block block{size, nullptr};
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            auto block_of_size = std::find_if(free_.begin(), free_.end(), [&](const Block& candidate) {
                return candidate.size >= size && candidate.size <= 2 * size;
            });
            if (block_of_size != free_.end()) {
                block = *block_of_size;
                free_.erase(block_of_size);
            }
        }
        if (!block.memory) {
            block.memory = static_cast<float*>(std::aligned_alloc(64, (size * sizeof(float) + 63) / 64 * 64));
            if (!block.memory) throw std::bad_alloc();
        }
        auto give_back = [this, block](void*) { give(block); };
        return at::from_blob(block.memory, {size}, give_back, at::TensorOptions().dtype(at::kFloat));
    }

  private:
    struct Block {
        int64_t size;
        float* memory;
    };

    void give(const Block& block) {
        const std::lock_guard<std::mutex> lock(mutex_);
        free_.push_back(block);
        if (free_.size() <= 8) return;  // two directions of four layers
        std::free(free_.front().memory);
        free_.erase(free_.begin());
    }

    std::mutex mutex_;
    std::vector<Block> free_;
};

inline Pool& tapes() {
    static Pool* pool = new Pool;  // never destroyed: tensors may outlive the module
    return *pool;
}

// Where each weight is among those of its direction.
enum Weight { WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH, GAIN_IH, GAIN_HH, GAIN_C, BIAS_C };

struct Layer {
    int64_t T, B, D, H, directions, per_direction;  // per_direction: 4 weights, 8 with layer norm
    double eps;
    int64_t half;  // products in bfloat16

    bool layer_norm() const { return per_direction == 8; }
    std::vector<int64_t> shape(int weight) const {
        const int64_t G = 4 * H;
        if (weight == WEIGHT_IH) return {G, D};
        if (weight == WEIGHT_HH) return {G, H};
        return {weight == GAIN_C || weight == BIAS_C ? H : G};
    }

    // What a call for this direction has in both passes; c0 has all directions.
    LstmCall call(int64_t direction, at::TensorList weights, const Tensor& lengths, const Tensor& order,
                  const Tensor& c0) const {
        LstmCall call{};
        const Tensor* of_direction = &weights[direction * per_direction];
        auto weight = [&](int which) { return of_direction[which].data_ptr<float>(); };
        call.sgemm = sgemm;
        call.lengths = lengths.data_ptr<int64_t>();
        call.order = order.data_ptr<int64_t>();
        call.c0 = c0.data_ptr<float>() + direction * B * H;
        call.weight_ih = weight(WEIGHT_IH), call.weight_hh = weight(WEIGHT_HH);
        call.bias_ih = weight(BIAS_IH), call.bias_hh = weight(BIAS_HH);
        if (layer_norm()) {
            call.gain_ih = weight(GAIN_IH), call.gain_hh = weight(GAIN_HH);
            call.gain_c = weight(GAIN_C), call.bias_c = weight(BIAS_C);
        }
        call.T = T, call.B = B, call.D = D, call.H = H;
        call.reverse = direction, call.threads = at::get_num_threads(), call.half = half, call.eps = float(eps);
        return call;
    }
};

// The sentences by length, longest first: lengths and order, (B,) each.
inline std::pair<Tensor, Tensor> sorted_lengths(const Optional& lengths, int64_t T, int64_t B) {
    const Tensor sorted = fresh({B}, at::kLong), order = fresh({B}, at::kLong);
    int64_t *of_rank = sorted.data_ptr<int64_t>(), *row = order.data_ptr<int64_t>();
    std::iota(row, row + B, 0);
    if (!lengths) {
        std::fill_n(of_rank, B, T);
        return {sorted, order};
    }
    const int64_t* given = lengths->data_ptr<int64_t>();
    std::stable_sort(row, row + B, [&](int64_t a, int64_t b) { return given[a] > given[b]; });
    for (int64_t r = 0; r < B; r++) of_rank[r] = given[row[r]];
    return {sorted, order};
}

inline Tensor inner_contiguous(const Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

// A map that padding leaves zero.
inline Tensor padded_map(at::IntArrayRef sizes, const Tensor& lengths) {
    const Tensor map = fresh(sizes);
    if (lengths.data_ptr<int64_t>()[lengths.numel() - 1] < sizes[0]) map.zero_();
    return map;
}

struct LstmResult {
    variable_list outputs, tapes;  // y, h_n, c_n; one a direction
    Tensor lengths, order;
};

inline LstmResult run_lstm(const Layer& layer, const Tensor& input, const Tensor& h0, const Tensor& c0,
                           at::TensorList weights, const Optional& given) {
    const auto [T, B, D, H, directions, per_direction, eps, half] = layer;
    const auto [lengths, order] = sorted_lengths(given, T, B);
    const Tensor x = inner_contiguous(input), y = padded_map({T, B, directions * H}, lengths);
    const Tensor h_n = fresh({directions, B, H}), c_n = fresh({directions, B, H});
    LstmResult result{{y, h_n, c_n}, {}, lengths, order};
    const int64_t size = std::max<int64_t>(1, T * B * lstm_tape_width(D, H, layer.layer_norm()));
    for (int64_t d = 0; d < directions; d++) result.tapes.push_back(tapes().take(size));
    for (int64_t d = 0; d < directions; d++) {
        LstmCall call = layer.call(d, weights, result.lengths, result.order, c0);
        const int64_t state = d * B * H;
        call.x = x.data_ptr<float>(), call.x_stride_t = x.stride(0), call.x_stride_b = x.stride(1);
        call.h0 = h0.data_ptr<float>() + state;
        call.y = y.data_ptr<float>() + d * H, call.y_stride_t = y.stride(0), call.y_stride_b = y.stride(1);
        call.h_n = h_n.data_ptr<float>() + state, call.c_n = c_n.data_ptr<float>() + state;
        call.tape = result.tapes[d].data_ptr<float>();
        lstm_forward(&call);
    }
    return result;
}

struct Lstm : torch::autograd::Function<Lstm> {
    static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& h0, const Tensor& c0,
                                 at::TensorList weights, const Layer& layer, const Optional& lengths) {
        LstmResult result = run_lstm(layer, x, h0, c0, weights, lengths);
        variable_list saved{c0, result.lengths, result.order, x, h0, lengths.value_or(Tensor())};
        saved.insert(saved.end(), result.tapes.begin(), result.tapes.end());
        saved.insert(saved.end(), weights.begin(), weights.end());
        ctx->save_for_backward(std::move(saved));
        ctx->saved_data["sizes"] = std::vector<int64_t>{layer.T, layer.B, layer.D, layer.H, layer.directions,
                                                        layer.per_direction, layer.half};
        ctx->saved_data["eps"] = layer.eps;
        return result.outputs;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        const std::vector<int64_t> sizes = ctx->saved_data["sizes"].toIntVector();
        const Layer layer{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], 0.0, sizes[6]};
        const auto [T, B, D, H, directions, per_direction, eps, half] = layer;
        const variable_list saved = ctx->get_saved_variables();
        const Tensor &c0 = saved[0], &lengths = saved[1], &order = saved[2];
        const at::TensorList weights(saved.data() + 6 + directions, directions * per_direction);
        if (needs_reference(grads)) {
            variable_list inputs{saved[3], saved[4], c0, saved[5]};
            inputs.insert(inputs.end(), weights.begin(), weights.end());
            variable_list gradients =
                through_reference(lstm_reference, inputs, grads, ctx->saved_data["eps"].toDouble());
            gradients.erase(gradients.begin() + 3);  // of the lengths
            gradients.resize(gradients.size() + 2);
            return gradients;
        }
        const Tensor grad_y = inner_contiguous(grads[0]), grad_h = grads[1].contiguous(), grad_c = grads[2].contiguous();
        const Tensor grad_h0 = fresh({directions, B, H}), grad_c0 = fresh({directions, B, H});
        variable_list gradients{Tensor(), grad_h0, grad_c0}, of_x;
        for (int64_t d = 0; d < directions; d++) {
            of_x.push_back(padded_map({T, B, D}, lengths));
            for (int w = 0; w < per_direction; w++) gradients.push_back(fresh(layer.shape(w)));
        }
        for (int64_t d = 0; d < directions; d++) {
            LstmCall call = layer.call(d, weights, lengths, order, c0);
            const int64_t state = d * B * H;
            auto gradient = [&](int which) {
                return gradients[3 + d * per_direction + which].data_ptr<float>();
            };
            call.x_stride_t = call.x_stride_b = 0;
            call.tape = saved[6 + d].data_ptr<float>();
            call.grad_y = grad_y.data_ptr<float>() + d * H;
            call.grad_y_stride_t = grad_y.stride(0), call.grad_y_stride_b = grad_y.stride(1);
            call.grad_h_n = grad_h.data_ptr<float>() + state, call.grad_c_n = grad_c.data_ptr<float>() + state;
            call.grad_x = of_x[d].data_ptr<float>();
            call.grad_h0 = grad_h0.data_ptr<float>() + state, call.grad_c0 = grad_c0.data_ptr<float>() + state;
            call.grad_weight_ih = gradient(WEIGHT_IH), call.grad_weight_hh = gradient(WEIGHT_HH);
            call.grad_bias = gradient(BIAS_IH);
            if (layer.layer_norm()) {
                call.grad_gain_ih = gradient(GAIN_IH), call.grad_gain_hh = gradient(GAIN_HH);
                call.grad_gain_c = gradient(GAIN_C), call.grad_bias_c = gradient(BIAS_C);
            }
            lstm_backward(&call);
            // Each bias has its own copy: an optimiser may change gradients in place.
            std::copy_n(gradient(BIAS_IH), 4 * H, gradient(BIAS_HH));
        }
        gradients[0] = directions == 2 ? of_x[0].add_(of_x[1]) : of_x[0];
        gradients.resize(gradients.size() + 2);
        return gradients;
    }
};

// lstm(x, h0, c0, lengths, weights, eps, half) -> (y, h_n, c_n), or None for what the kernel does not take.
inline PyObject* call_lstm(PyObject*, PyObject* const* arguments, Py_ssize_t) {
    return guarded([&]() -> PyObject* {
        if (!is_plain_call() || !are_exact(arguments, 4) ||
            !are_exact(reinterpret_cast<PyTupleObject*>(arguments[4])->ob_item, PyTuple_Size(arguments[4])))
            Py_RETURN_NONE;
        const Tensor x = tensor_of(arguments[0]), h0 = tensor_of(arguments[1]).contiguous(),
                     c0 = tensor_of(arguments[2]).contiguous();
        const Optional lengths = optional_of(arguments[3]);
        variable_list weights;
        for (Py_ssize_t i = 0; i < PyTuple_Size(arguments[4]); i++)
            weights.push_back(tensor_of(PyTuple_GET_ITEM(arguments[4], i)));
        const double eps = PyFloat_AsDouble(arguments[5]);
        if (PyErr_Occurred()) return nullptr;

        auto is_taken = [](const Tensor& tensor) { return is_dense_cpu(tensor) && tensor.scalar_type() == at::kFloat; };
        if (!is_taken(x) || x.dim() != 3 || x.numel() == 0 || !is_taken(h0) || !is_taken(c0) ||
            (lengths && (!is_dense_cpu(*lengths) || lengths->scalar_type() != at::kLong || !lengths->is_contiguous())))
            Py_RETURN_NONE;
        const int64_t directions = h0.size(0);
        const Layer layer{x.size(0), x.size(1), x.size(2), h0.size(2), directions, (int64_t)weights.size() / directions,
                          eps, arguments[6] == Py_True};
        for (size_t i = 0; i < weights.size(); i++)
            if (!is_taken(weights[i]) || !weights[i].is_contiguous() ||
                weights[i].sizes() != at::IntArrayRef(layer.shape(i % layer.per_direction)))
                Py_RETURN_NONE;
        variable_list outputs;
        {
            const WithoutLock free;
            const at::TensorList list(weights);
            outputs = at::GradMode::is_enabled() ? Lstm::apply(x, h0, c0, list, layer, lengths)
                                                 : run_lstm(layer, x, h0, c0, list, lengths).outputs;
        }
        PyObject* answer = PyTuple_New(3);
        for (int i = 0; i < 3; i++) PyTuple_SET_ITEM(answer, i, THPVariable_Wrap(outputs[i]));
        return answer;
    });
}

}  // namespace glue
