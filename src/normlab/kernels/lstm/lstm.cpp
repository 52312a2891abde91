// One direction of one LSTM layer, plain or layer-normalised, forward and backward, for sentences of their own
// lengths. The definition is nn/lstm_reference.py.
//
// Sentences are sorted by length, longest first, and their steps are packed: step s holds one row for each of the
// first sizes[s] sentences, and sentence r is row r of every step it reaches. So no row is padding, the rows of a
// step and of the step before it line up, and the input product of all steps is one matrix product. Walking
// backwards only changes which word a sentence's step s is; the recurrence never knows.
//
// Threads share the work by sentence, so they never wait for each other between steps.
// Dimensions: N packed rows, D input size, H hidden size, G = 4 H gate sums in the order i, f, g, o.

#include "lstm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../runtime/products.h"
#include "../runtime/scratch.h"
#include "../runtime/spans.h"
#include "../runtime/vector_math.h"

using normlab::sigmoid_fast;
using normlab::tanh_fast;

namespace {

enum Use { D_H, D_X, GRAD_X, INPUT_WEIGHTS, RECURRENT_WEIGHTS, ROWS, PAIRS, LEFT, USES };

float* scratch(Use which, int64_t size) { return kept_memory<float, USES>(which, size); }

// A matrix (k, n) that others are multiplied with from the left, and packed for that where our own products run.
// `column` is 1, or `row` is 1: the matrix is then the transpose of a row-major one.
struct Factor {
    const float *values, *panels;
    int64_t k, n, row, column;
    bool half;  // bfloat16

    Factor(const LstmCall& call, const float* matrix, int64_t k, int64_t n, int64_t row, int64_t column, Use use)
        : values(matrix), panels(nullptr), k(k), n(n), row(row), column(column), half(false) {
#ifdef NORMLAB_PRODUCTS
        float* packed = scratch(use, normlab::packed_size(k, n));
        panels = packed;
#ifdef __AVX512BF16__
        if (call.half) {
            half = true;
            uint32_t* memory = (uint32_t*)scratch(PAIRS, n * normlab::pairs_of(k));
            normlab::pack_pairs(matrix, row, column, k, n, (uint32_t*)packed, memory);
            return;
        }
#endif
        normlab::pack(matrix, row, column, k, n, packed);
#endif
    }
};

#ifdef __AVX512BF16__
// Rows [first, last) of C = A B in bfloat16; A is rounded on its way.
void product_in_half(const float* A, int64_t a_row, int64_t a_column, int64_t first, int64_t last, const Factor& B, float* C,
                     bool add) {
    const int64_t m = last - first, half = normlab::pairs_of(B.k);
    if (m <= 0) return;
    uint32_t* left = (uint32_t*)scratch(LEFT, m * half);
    if (a_column == 1) {
        for (int64_t r = 0; r < m; r++) normlab::pair_neighbours(A + (first + r) * a_row, B.k, left + r * half);
    } else {
        for (int64_t i = 0; i < half; i++) {
            const float* even = A + first + 2 * i * a_column;
            normlab::pair_rows(even, 2 * i + 1 < B.k ? even + a_column : nullptr, m, left + i * m);
        }
    }
    const bool by_rows = a_column == 1;
    normlab::multiply<uint32_t>(left, by_rows ? half : 1, by_rows ? 1 : m, m, (const uint32_t*)B.panels, half, B.n,
                                C + first * B.n, B.n, add);
}
#endif

#ifndef __AVX512F__
// C (n) = a (k) B, added to C if `add`, for one row: BLAS takes half as long again to read the weights for a product with
// a single row. Four rows of the matrix in memory are read side by side.
void multiply_row(const float* a, const Factor& B, float* C, bool add) {
    using namespace normlab;
    if (B.column == 1) {  // rows of the matrix, added up with the factors a
        if (!add) std::fill(C, C + B.n, 0.0f);
        for (int64_t i = 0; i < B.k; i += 4) {
            const float* w[4];
            vf factor[4];
            for (int r = 0; r < 4; r++) {
                const bool real = i + r < B.k;
                w[r] = B.values + (real ? i + r : i) * B.row;
                factor[r] = splat(real ? a[i + r] : 0.0f);
            }
            sweep<0>(B.n, 1, [&](int64_t c, int, auto size) NORMLAB_BODY {
                const vf one = factor[0] * load(w[0] + c, size) + factor[1] * load(w[1] + c, size);
                const vf other = factor[2] * load(w[2] + c, size) + factor[3] * load(w[3] + c, size);
                store(C + c, load(C + c, size) + (one + other), size);
            });
        }
        return;
    }
    for (int64_t j = 0; j < B.n; j += 4) {  // columns of the matrix are rows in memory: dot products with a
        const int count = (int)std::min<int64_t>(4, B.n - j);
        const float* w[4];
        for (int r = 0; r < 4; r++) w[r] = B.values + (j + std::min(r, count - 1)) * B.column;
        vf sums[4] = {};
        sweep<0>(B.k, 1, [&](int64_t i, int, auto size) NORMLAB_BODY {
            const vf value = load(a + i, size);
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) sums[r] += value * load(w[r] + i, size);
        });
        for (int r = 0; r < count; r++) C[j + r] = total_of(sums[r]) + (add ? C[j + r] : 0.0f);
    }
}
#endif

// C (m, n) = A (m, k) B, row-major, added to C if `add`; m shared by `threads`. A's rows are a_row apart and its columns
// a_column; one of the two is 1.
void product(Sgemm gemm, const float* A, int64_t a_row, int64_t a_column, int64_t m, const Factor& B, float* C,
             bool add = false, int64_t threads = 1) {
    if (m <= 0) return;
#ifndef __AVX512F__
    if (m == 1 && a_column == 1 && B.k) return multiply_row(A, B, C, add);
#endif
#ifdef NORMLAB_PRODUCTS
    constexpr int64_t block = normlab::BLOCK_ROWS;
    const int64_t blocks = (m + block - 1) / block;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t t = 0; t < threads; t++) {
        const int64_t first = blocks * t / threads * block, last = std::min(m, blocks * (t + 1) / threads * block);
#ifdef __AVX512BF16__
        if (B.half) {
            product_in_half(A, a_row, a_column, first, last, B, C, add);
            continue;
        }
#endif
        normlab::multiply(A + first * a_row, a_row, a_column, last - first, B.panels, B.k, B.n, C + first * B.n, B.n,
                          add);
    }
    return;
#endif
    if (!B.k) {
        if (!add) std::fill(C, C + m * B.n, 0.0f);
        return;
    }
    const int rows = (int)m, columns = (int)B.n, inner = (int)B.k;
    // Where a matrix is a single row or column, both its strides may be 1; BLAS still wants a step of a whole column.
    const int a_step = (int)(a_column == 1 ? std::max(a_row, B.k) : std::max(a_column, m));
    const int b_step = (int)(B.column == 1 ? std::max(B.row, B.n) : std::max(B.column, B.k));
    const float one = 1.0f, beta = add ? 1.0f : 0.0f;
    gemm(B.column == 1 ? "N" : "T", a_column == 1 ? "N" : "T", &columns, &rows, &inner, &one, B.values, &b_step, A,
         &a_step, &beta, C, &columns);
}

// Beyond so many numbers (2 MB) a factor of `product_over_words` leaves the second-level cache.
constexpr int64_t CACHED = 1 << 19;

// C (m, n) = A^T B for row-major A (k, m) and B (k, n): a weight's gradient, k counting words. Where A is long, BLAS
// multiplies, block by block: `multiply` would read a column of A from end to end for each eight rows of C.
void product_over_words(const LstmCall& call, const float* A, int64_t m, const float* B, int64_t n, int64_t k, float* C) {
    if (call.half || k * m <= CACHED) {
        product(call.sgemm, A, 1, m, m, Factor(call, B, k, n, n, 1, ROWS), C, false, call.threads);
        return;
    }
    const int rows = (int)m, columns = (int)n, inner = (int)k;
    const float one = 1.0f, zero = 0.0f;
    call.sgemm("N", "T", &columns, &rows, &inner, &one, B, &columns, A, &rows, &zero, C, &columns);
}

// Where the packed rows are.
struct Packing {
    std::vector<int64_t> sizes, offsets;  // rows of step s, and the first of them

    explicit Packing(const LstmCall& call) {
        const int64_t steps = call.B ? call.lengths[0] : 0;
        int64_t rows = 0;
        for (int64_t s = 0, active = call.B; s < steps; s++) {
            while (call.lengths[active - 1] <= s) active--;
            sizes.push_back(active);
            offsets.push_back(rows);
            rows += active;
        }
        offsets.push_back(rows);
    }
    int64_t steps() const { return (int64_t)sizes.size(); }
    int64_t rows() const { return offsets.back(); }
};

// The word that step s of sorted sentence r is.
int64_t time_of(const LstmCall& call, int64_t s, int64_t r) { return call.reverse ? call.lengths[r] - 1 - s : s; }

// What the backward pass needs of the forward pass, packed rows each. See lstm_tape_width.
struct Tape {
    float *x, *h_before, *gates, *cell, *tanh_cell;   // D, H, G, H, H per row
    float *x_hat, *h_hat, *cell_hat, *reciprocal_std;  // G, G, H, 3 per row, only with layer norm

    explicit Tape(const LstmCall& call) {
        const int64_t rows = call.T * call.B, H = call.H;
        float* next = call.tape;
        auto take = [&](int64_t width) { float* section = next; next += rows * width; return section; };
        x = take(call.D);
        h_before = take(H);
        gates = take(4 * H);
        cell = take(H);
        tanh_cell = take(H);
        x_hat = h_hat = cell_hat = reciprocal_std = nullptr;
        if (!call.gain_ih) return;
        x_hat = take(4 * H);
        h_hat = take(4 * H);
        cell_hat = take(H);
        reciprocal_std = take(3);
    }
};

// Sentences [first, last) of each thread, about equally many words.
std::vector<int64_t> share_sentences(const LstmCall& call, int64_t rows) {
    const int64_t parts = std::max<int64_t>(1, std::min(call.threads, call.B / 4));
    std::vector<int64_t> bounds{0};
    int64_t words = 0;
    for (int64_t r = 0; r < call.B; r++) {
        words += call.lengths[r];
        if (words * parts >= rows * (int64_t)bounds.size() && (int64_t)bounds.size() < parts) bounds.push_back(r + 1);
    }
    bounds.push_back(call.B);
    return bounds;
}

struct Moments {
    float mean, reciprocal_std;
};

// The sum of f(a) over a row, four vectors side by side: one alone would wait for each addition.
template <class F>
inline float sum_of(const float* a, int64_t n, F f) {
    using namespace normlab;
    vf sums[4] = {};
    sweep<4>(n, 4, [&](int64_t i, int k, auto size) NORMLAB_BODY { sums[k] += keep(f(load(a + i, size)), size); });
    return total_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Mean and 1 / sqrt(var + eps) of a row; the variance in a second pass.
Moments moments(const float* a, int64_t n, float eps) {
    using normlab::vf;
    const float mean = sum_of(a, n, [](vf v) NORMLAB_BODY { return v; }) / n;
    const float squares = sum_of(a, n, [mean](vf v) NORMLAB_BODY { return (v - mean) * (v - mean); });
    return {mean, 1.0f / std::sqrt(squares / n + eps)};
}

// Replace a row by (a - mean) / sqrt(var + eps) and return 1 / sqrt(var + eps).
float normalize(float* a, int64_t n, float eps) {
    const auto [mean, scale] = moments(a, n, eps);
#pragma omp simd
    for (int64_t j = 0; j < n; j++) a[j] = (a[j] - mean) * scale;
    return scale;
}

void activate(float* gates, int64_t H) {
#pragma omp simd
    for (int64_t j = 0; j < 2 * H; j++) gates[j] = sigmoid_fast(gates[j]);
#pragma omp simd
    for (int64_t j = 2 * H; j < 3 * H; j++) gates[j] = tanh_fast(gates[j]);
#pragma omp simd
    for (int64_t j = 3 * H; j < 4 * H; j++) gates[j] = sigmoid_fast(gates[j]);
}

// One packed row, its gate sums' parts being in the tape already; writes the new cell and hidden state.
void cell_forward(const LstmCall& call, const Tape& tape, const float* bias, int64_t row, const float* cell_before,
                  float* h) {
    const int64_t H = call.H, G = 4 * H;
    float *gates = tape.gates + row * G, *cell = tape.cell + row * H, *tanh_cell = tape.tanh_cell + row * H;
    if (call.gain_ih) {
        const float *x_hat = tape.x_hat + row * G, *gain_ih = call.gain_ih, *gain_hh = call.gain_hh;
        float* h_hat = tape.h_hat + row * G;
        const auto [mean, scale] = moments(h_hat, G, call.eps);
        tape.reciprocal_std[3 * row + 1] = scale;
#pragma omp simd
        for (int64_t j = 0; j < G; j++) {
            h_hat[j] = (h_hat[j] - mean) * scale;
            gates[j] = x_hat[j] * gain_ih[j] + h_hat[j] * gain_hh[j] + bias[j];
        }
    } else {
#pragma omp simd
        for (int64_t j = 0; j < G; j++) gates[j] += bias[j];
    }
    activate(gates, H);
    const float *i = gates, *f = gates + H, *g = gates + 2 * H, *o = gates + 3 * H;
#pragma omp simd
    for (int64_t j = 0; j < H; j++) cell[j] = f[j] * cell_before[j] + i[j] * g[j];
    if (call.gain_ih) {
        float* cell_hat = tape.cell_hat + row * H;
        const auto [mean, scale] = moments(cell, H, call.eps);
        tape.reciprocal_std[3 * row + 2] = scale;
#pragma omp simd
        for (int64_t j = 0; j < H; j++) {
            cell_hat[j] = (cell[j] - mean) * scale;
            tanh_cell[j] = tanh_fast(cell_hat[j] * call.gain_c[j] + call.bias_c[j]);
        }
    } else {
#pragma omp simd
        for (int64_t j = 0; j < H; j++) tanh_cell[j] = tanh_fast(cell[j]);
    }
#pragma omp simd
    for (int64_t j = 0; j < H; j++) h[j] = o[j] * tanh_cell[j];
}

// All steps of sorted sentences [first, last).
void walk_forward(const LstmCall& call, const Packing& packing, const Tape& tape, const float* bias,
                  const Factor& weight_hh, int64_t first, int64_t last) {
    const int64_t H = call.H, G = 4 * H;
    for (int64_t s = 0; s < packing.steps() && packing.sizes[s] > first; s++) {
        const int64_t end = std::min(last, packing.sizes[s]), start = packing.offsets[s] + first;
        float* sums = call.gain_ih ? tape.h_hat : tape.gates;  // plain gates hold the input's part already
        product(call.sgemm, tape.h_before + start * H, H, 1, end - first, weight_hh, sums + start * G, !call.gain_ih);
        for (int64_t r = first; r < end; r++) {
            const int64_t row = packing.offsets[s] + r, b = call.order[r];
            const float* cell_before = s ? tape.cell + (packing.offsets[s - 1] + r) * H : call.c0 + b * H;
            float* h = call.y + time_of(call, s, r) * call.y_stride_t + b * call.y_stride_b;
            cell_forward(call, tape, bias, row, cell_before, h);
            if (s + 1 < call.lengths[r]) {
                std::copy(h, h + H, tape.h_before + (packing.offsets[s + 1] + r) * H);
            } else {
                std::copy(h, h + H, call.h_n + b * H);
                std::copy(tape.cell + row * H, tape.cell + (row + 1) * H, call.c_n + b * H);
            }
        }
    }
}

// The gradients of the vectors, summed over one thread's rows.
struct VectorGradients {
    std::vector<float> bias, gain_ih, gain_hh, gain_c, bias_c;
    explicit VectorGradients(int64_t H) : bias(4 * H), gain_ih(4 * H), gain_hh(4 * H), gain_c(H), bias_c(H) {}
};

// d_a = (d - mean(d) - a_hat mean(d a_hat)) / std, d being the gradient of a_hat, which `d` holds and loses.
void normalize_backward(float* d, const float* a_hat, float reciprocal_std, int64_t n) {
    float sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
    for (int64_t j = 0; j < n; j++) {
        sum += d[j];
        dot += d[j] * a_hat[j];
    }
    const float mean = sum / n, slope = dot / n;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) d[j] = (d[j] - mean - a_hat[j] * slope) * reciprocal_std;
}

// One packed row: from the gradients of its states to those of its gate sums' parts, d_x and d_h (the same memory in
// a plain LSTM). dh and dc come in as gradients of this row's states; dc leaves as that of the cell before.
void cell_backward(const LstmCall& call, const Tape& tape, int64_t row, const float* cell_before, const float* grad_y,
                   const float* dh, float* dc, float* d_x, float* d_h, float* d_shown, VectorGradients& sums) {
    const int64_t H = call.H, G = 4 * H;
    const float *gates = tape.gates + row * G, *tanh_cell = tape.tanh_cell + row * H;
    const float *i = gates, *f = gates + H, *g = gates + 2 * H, *o = gates + 3 * H;
#pragma omp simd
    for (int64_t j = 0; j < H; j++) {
        const float d = dh[j] + grad_y[j];
        d_h[3 * H + j] = d * tanh_cell[j] * o[j] * (1 - o[j]);
        d_shown[j] = d * o[j] * (1 - tanh_cell[j] * tanh_cell[j]);
    }
    if (call.gain_ih) {
        const float* cell_hat = tape.cell_hat + row * H;
        float *gain_c = sums.gain_c.data(), *bias_c = sums.bias_c.data();
#pragma omp simd
        for (int64_t j = 0; j < H; j++) {
            bias_c[j] += d_shown[j];
            gain_c[j] += d_shown[j] * cell_hat[j];
            d_shown[j] *= call.gain_c[j];
        }
        normalize_backward(d_shown, cell_hat, tape.reciprocal_std[3 * row + 2], H);
    }
#pragma omp simd
    for (int64_t j = 0; j < H; j++) {
        const float d = dc[j] + d_shown[j];
        d_h[j] = d * g[j] * i[j] * (1 - i[j]);
        d_h[H + j] = d * cell_before[j] * f[j] * (1 - f[j]);
        d_h[2 * H + j] = d * i[j] * (1 - g[j] * g[j]);
        dc[j] = d * f[j];
    }
    float* bias = sums.bias.data();
    if (!call.gain_ih) {
#pragma omp simd
        for (int64_t j = 0; j < G; j++) bias[j] += d_h[j];
        return;
    }
    // Both sides' sums for the mean and the slope of `normalize_backward` are taken while the rows are written.
    float sum_x = 0, dot_x = 0, sum_h = 0, dot_h = 0;
    const float *x_hat = tape.x_hat + row * G, *h_hat = tape.h_hat + row * G;
    float *gain_ih = sums.gain_ih.data(), *gain_hh = sums.gain_hh.data();
#pragma omp simd reduction(+ : sum_x, dot_x, sum_h, dot_h)
    for (int64_t j = 0; j < G; j++) {
        const float d = d_h[j], by_x = d * call.gain_ih[j], by_h = d * call.gain_hh[j];
        bias[j] += d;
        gain_ih[j] += d * x_hat[j];
        gain_hh[j] += d * h_hat[j];
        sum_x += by_x;
        dot_x += by_x * x_hat[j];
        sum_h += by_h;
        dot_h += by_h * h_hat[j];
        d_x[j] = by_x;
        d_h[j] = by_h;
    }
    const float mean_x = sum_x / G, slope_x = dot_x / G, std_x = tape.reciprocal_std[3 * row];
    const float mean_h = sum_h / G, slope_h = dot_h / G, std_h = tape.reciprocal_std[3 * row + 1];
#pragma omp simd
    for (int64_t j = 0; j < G; j++) {
        d_x[j] = (d_x[j] - mean_x - x_hat[j] * slope_x) * std_x;
        d_h[j] = (d_h[j] - mean_h - h_hat[j] * slope_h) * std_h;
    }
}

// All steps of sorted sentences [first, last), last step first; d_x and d_h (N, G) get the gate sums' gradients.
void walk_backward(const LstmCall& call, const Packing& packing, const Tape& tape, float* d_x, float* d_h,
                   const Factor& weight_hh, int64_t first, int64_t last, VectorGradients& sums) {
    const int64_t H = call.H, G = 4 * H;
    std::vector<float> dh((last - first) * H), dc((last - first) * H), d_shown(H);
    for (int64_t r = first; r < last; r++) {
        const int64_t b = call.order[r];
        std::copy(call.grad_h_n + b * H, call.grad_h_n + (b + 1) * H, dh.data() + (r - first) * H);
        std::copy(call.grad_c_n + b * H, call.grad_c_n + (b + 1) * H, dc.data() + (r - first) * H);
    }
    for (int64_t s = packing.steps() - 1; s >= 0; s--) {
        const int64_t end = std::min(last, packing.sizes[s]), start = packing.offsets[s] + first;
        for (int64_t r = first; r < end; r++) {
            const int64_t row = packing.offsets[s] + r, b = call.order[r];
            const float* cell_before = s ? tape.cell + (packing.offsets[s - 1] + r) * H : call.c0 + b * H;
            const float* grad_y = call.grad_y + time_of(call, s, r) * call.grad_y_stride_t + b * call.grad_y_stride_b;
            cell_backward(call, tape, row, cell_before, grad_y, dh.data() + (r - first) * H,
                          dc.data() + (r - first) * H, d_x + row * G, d_h + row * G, d_shown.data(), sums);
        }
        product(call.sgemm, d_h + start * G, G, 1, end - first, weight_hh, dh.data());
    }
    for (int64_t r = first; r < last; r++) {
        const int64_t b = call.order[r];
        std::copy(dh.data() + (r - first) * H, dh.data() + (r - first + 1) * H, call.grad_h0 + b * H);
        std::copy(dc.data() + (r - first) * H, dc.data() + (r - first + 1) * H, call.grad_c0 + b * H);
    }
}

void add_up(const std::vector<VectorGradients>& parts, std::vector<float> VectorGradients::*which, float* total) {
    std::copy((parts[0].*which).begin(), (parts[0].*which).end(), total);
    for (size_t p = 1; p < parts.size(); p++)
        for (size_t j = 0; j < (parts[p].*which).size(); j++) total[j] += (parts[p].*which)[j];
}

}  // namespace

extern "C" void lstm_forward(const LstmCall* arguments) {
    const LstmCall& call = *arguments;
    const Packing packing(call);
    const Tape tape(call);
    const int64_t D = call.D, H = call.H, G = 4 * H;
    std::copy(call.h0, call.h0 + call.B * H, call.h_n);  // what a sentence without words ends with
    std::copy(call.c0, call.c0 + call.B * H, call.c_n);
    for (int64_t s = 0; s < packing.steps(); s++)
        for (int64_t r = 0; r < packing.sizes[s]; r++) {
            const int64_t row = packing.offsets[s] + r, b = call.order[r];
            const float* word = call.x + time_of(call, s, r) * call.x_stride_t + b * call.x_stride_b;
            std::copy(word, word + D, tape.x + row * D);
            if (s == 0) std::copy(call.h0 + b * H, call.h0 + (b + 1) * H, tape.h_before + row * H);
        }
    std::vector<float> bias(G);
    for (int64_t j = 0; j < G; j++) bias[j] = call.bias_ih[j] + call.bias_hh[j];
    float* input_sums = call.gain_ih ? tape.x_hat : tape.gates;
    const Factor weight_ih(call, call.weight_ih, D, G, 1, D, INPUT_WEIGHTS), weight_hh(call, call.weight_hh, H, G, 1, H, RECURRENT_WEIGHTS);
    product(call.sgemm, tape.x, D, 1, packing.rows(), weight_ih, input_sums, false, call.threads);
    if (call.gain_ih)
        for (int64_t row = 0; row < packing.rows(); row++)
            tape.reciprocal_std[3 * row] = normalize(tape.x_hat + row * G, G, call.eps);
    const std::vector<int64_t> bounds = share_sentences(call, packing.rows());
    const int parts = (int)bounds.size() - 1;
#pragma omp parallel for num_threads(parts) schedule(static, 1) if (parts > 1)
    for (int p = 0; p < parts; p++) walk_forward(call, packing, tape, bias.data(), weight_hh, bounds[p], bounds[p + 1]);
}

extern "C" void lstm_backward(const LstmCall* arguments) {
    const LstmCall& call = *arguments;
    const Packing packing(call);
    const Tape tape(call);
    const int64_t D = call.D, H = call.H, G = 4 * H, N = packing.rows();
    float *d_h = scratch(D_H, N * G), *d_x = call.gain_ih ? scratch(D_X, N * G) : d_h;
    const Factor weight_hh(call, call.weight_hh, G, H, H, 1, RECURRENT_WEIGHTS);
    const std::vector<int64_t> bounds = share_sentences(call, N);
    const int parts = (int)bounds.size() - 1;
    std::vector<VectorGradients> sums(parts, VectorGradients(H));
#pragma omp parallel for num_threads(parts) schedule(static, 1) if (parts > 1)
    for (int p = 0; p < parts; p++)
        walk_backward(call, packing, tape, d_x, d_h, weight_hh, bounds[p], bounds[p + 1], sums[p]);
    add_up(sums, &VectorGradients::bias, call.grad_bias);
    if (call.gain_ih) {
        add_up(sums, &VectorGradients::gain_ih, call.grad_gain_ih);
        add_up(sums, &VectorGradients::gain_hh, call.grad_gain_hh);
        add_up(sums, &VectorGradients::gain_c, call.grad_gain_c);
        add_up(sums, &VectorGradients::bias_c, call.grad_bias_c);
    }
    product_over_words(call, d_x, G, tape.x, D, N, call.grad_weight_ih);
    product_over_words(call, d_h, G, tape.h_before, H, N, call.grad_weight_hh);
    float* packed = scratch(GRAD_X, N * D);
    product(call.sgemm, d_x, G, 1, N, Factor(call, call.weight_ih, G, D, D, 1, INPUT_WEIGHTS), packed, false, call.threads);
    for (int64_t s = 0; s < packing.steps(); s++)
        for (int64_t r = 0; r < packing.sizes[s]; r++) {
            const float* row = packed + (packing.offsets[s] + r) * D;
            std::copy(row, row + D, call.grad_x + (time_of(call, s, r) * call.B + call.order[r]) * D);
        }
}
