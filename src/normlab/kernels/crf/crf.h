// What a call of the CRF's kernel is given; crf.cpp computes, glue_crf.h and operators.py call.
//
// Dimensions: B sentences, T positions, K tags. Sentences are worked in groups of kCrfLanes, one a lane.
#pragma once

#include <cstdint>

constexpr int64_t kCrfLanes = 16;

// The order of fields is that of `_Call` in operators.py.
extern "C" struct CrfCall {
    const float* emissions;                         // (B, T, K)
    const int64_t* tags;                            // (B, T), or null for log Z alone
    const uint8_t* mask;                            // (B, T), not 0 where a position is real; null: all are
    const float *start, *transitions, *end;         // (K,), (K, K), (K,)
    const uint8_t *legal_start, *legal_transitions, *legal_end;  // not 0 where allowed, of the same shapes; or null
    float *loss, *tape;                             // (B,); (groups, T, 3, K, lanes), for the backward pass
    const float* grad_loss;                         // (B,), or a single number where its stride is 0
    float *grad_emissions, *grad_start, *grad_transitions, *grad_end;  // (B, T, K) zeroed; (K,), (K, K), (K,)
    int64_t* path;                                  // (B, T), zeros where the caller wants padding
    int64_t B, T, K, threads, grad_stride;
    float grad_scale;                               // multiplies grad_loss
};
