// The two small steps of a residual network between its convolutions and its output: the shortcut that halves a map
// and adds channels of zeros, and the mean over positions. Maps are NHWC; loops that only move memory, which torch's
// chains of calls (sub-sample, permute, pad; sum, divide, expand) pass over several times.
#include <algorithm>
#include <cstring>
#include <vector>

#include "../runtime/spans.h"

using namespace normlab;

namespace {

template <class T>
void mean_forward(int64_t N, int64_t C, int64_t S, const T* x, T* y) {
    std::vector<float> sums(C + LANES);
    for (int64_t n = 0; n < N; ++n) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t s = 0; s < S; ++s)
            sweep<0>(C, 1, [&](int64_t c, int, auto size) NORMLAB_BODY {
                store(&sums[c], load(&sums[c], size) + load(x + (n * S + s) * C + c, size), size);
            });
        sweep<0>(C, 1, [&](int64_t c, int, auto size) NORMLAB_BODY {
            store(y + n * C + c, load(&sums[c], size) / splat(float(S)), size);
        });
    }
}

template <class T>
void mean_backward(int64_t N, int64_t C, int64_t S, const T* grad, T* dx) {
    for (int64_t n = 0; n < N; ++n) {
        T* first = dx + n * S * C;
        sweep<0>(C, 1, [&](int64_t c, int, auto size) NORMLAB_BODY {
            store(first + c, load(grad + n * C + c, size) / splat(float(S)), size);
        });
        for (int64_t s = 1; s < S; ++s) std::memcpy(first + s * C, first, C * sizeof(T));
    }
}

}  // namespace

// y (N, H / 2, W / 2, C + extra), halves rounded up: every second position of x (N, H, W, C), then zeros. A value has
// `size` bytes.
extern "C" void halve_forward(int64_t N, int64_t C, int64_t H, int64_t W, int64_t extra, int64_t size, const void* x,
                              void* y) {
    const char* from = static_cast<const char*>(x);
    char* to = static_cast<char*>(y);
    const int64_t size_of_pixel = C * size, rest = extra * size;
    for (int64_t n = 0; n < N; ++n)
        for (int64_t r = 0; r < H; r += 2)
            for (int64_t i = 0; i < W; i += 2, to += size_of_pixel + rest) {
                std::memcpy(to, from + ((n * H + r) * W + i) * size_of_pixel, size_of_pixel);
                std::memset(to + size_of_pixel, 0, rest);
            }
}

// dx (N, H, W, C) from the gradient of y: zero where x was not read.
extern "C" void halve_backward(int64_t N, int64_t C, int64_t H, int64_t W, int64_t extra, int64_t size,
                               const void* grad, void* dx) {
    const char* from = static_cast<const char*>(grad);
    char* to = static_cast<char*>(dx);
    const int64_t size_of_pixel = C * size, rest = extra * size;
    for (int64_t n = 0; n < N; ++n)
        for (int64_t r = 0; r < H; ++r) {
            if (r % 2) {
                std::memset(to, 0, W * size_of_pixel);
                to += W * size_of_pixel;
                continue;
            }
            for (int64_t i = 0; i < W; i += 2, from += size_of_pixel + rest) {
                std::memcpy(to, from, size_of_pixel);
                to += size_of_pixel;
                if (i + 1 < W) {
                    std::memset(to, 0, size_of_pixel);
                    to += size_of_pixel;
                }
            }
        }
}

// y (N, C): the mean of x (N, S, C) over its positions, added up in float32.
extern "C" void mean_forward(int64_t N, int64_t C, int64_t S, int is_bf16, const void* x, void* y) {
    if (is_bf16)
        mean_forward(N, C, S, static_cast<const bf16*>(x), static_cast<bf16*>(y));
    else
        mean_forward(N, C, S, static_cast<const float*>(x), static_cast<float*>(y));
}

extern "C" void mean_backward(int64_t N, int64_t C, int64_t S, int is_bf16, const void* grad, void* dx) {
    if (is_bf16)
        mean_backward(N, C, S, static_cast<const bf16*>(grad), static_cast<bf16*>(dx));
    else
        mean_backward(N, C, S, static_cast<const float*>(grad), static_cast<float*>(dx));
}
