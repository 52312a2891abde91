// What a call of the LSTM's kernel is given: one direction of one layer. lstm.cpp computes, glue_lstm.h and operators.py call.
#pragma once

#include <cstdint>

// BLAS's matrix product (Fortran order), the one that torch brings along.
using Sgemm = void (*)(const char*, const char*, const int*, const int*, const int*, const float*, const float*,
                       const int*, const float*, const int*, const float*, float*, const int*);

// The order of fields is that of `_Call` in operators.py. A plain LSTM has null gains.
extern "C" struct LstmCall {
    Sgemm sgemm;
    const int64_t *lengths, *order;  // (B,) sorted, longest first, and the sentence each belongs to
    const float *x, *h0, *c0;        // x (T, B, D) with the strides below; h0, c0 (B, H)
    const float *weight_ih, *weight_hh, *bias_ih, *bias_hh, *gain_ih, *gain_hh, *gain_c, *bias_c;
    float *y, *h_n, *c_n, *tape;  // y (T, B, H) with the strides below, zero where there is padding; tape: see Tape
    const float *grad_y, *grad_h_n, *grad_c_n;
    float *grad_x, *grad_h0, *grad_c0;  // grad_x (T, B, D), zero in padding
    float *grad_weight_ih, *grad_weight_hh, *grad_bias, *grad_gain_ih, *grad_gain_hh, *grad_gain_c, *grad_bias_c;
    int64_t T, B, D, H;
    int64_t x_stride_t, x_stride_b, y_stride_t, y_stride_b, grad_y_stride_t, grad_y_stride_b;
    int64_t reverse, threads, half;  // half: products in bfloat16 where the CPU has them
    float eps;
};

// Numbers of the tape per packed row, of which there are at most T B: what `Tape` in lstm.cpp takes.
inline int64_t lstm_tape_width(int64_t D, int64_t H, bool layer_norm) {
    return D + 7 * H + (layer_norm ? 9 * H + 3 : 0);
}
