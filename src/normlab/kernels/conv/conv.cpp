// 3x3 convolutions, padded by one, forward and backward: the calls by which conv_bfloat16.h, conv_tiles.h, conv_float32.h and
// winograd.h are reached. dispatch.py says what they take.
#include <algorithm>

#include "conv_bfloat16.h"
#include "conv_float32.h"
#include "conv_tiles.h"
#include "conv_tiles_weights.h"
#include "winograd.h"

// For which types this machine has the instructions: 1 for bfloat16, 2 for float32; 4 for bfloat16 in tiles. For others nothing
// is done.
extern "C" int conv_types() {
    int types = 0;
#ifdef __AVX512BF16__
    types |= 1;
#endif
#ifdef NORMLAB_PRODUCTS
    types |= 2;
#endif
#ifdef NORMLAB_TILES
    if (tiled_maps::are_used()) types |= 4;
#endif
    return types;
}

// Whether bfloat16 is multiplied in tiles from now on, where the machine has them (initially it is); returns whether it has.
extern "C" int conv_use_tiles(int wanted) {
#ifdef NORMLAB_TILES
    tiled_maps::are_wanted() = wanted;
    return tiled_maps::are_allowed();
#else
    return 0;
#endif
}

// Numbers in a vector of float32, of which C is a multiple where the float32 input has a gradient or is worked in tiles.
extern "C" int conv_lanes() {
#ifdef NORMLAB_PRODUCTS
    return normlab::LANES;
#else
    return 1;
#endif
}

// x (N, C, H, W) and y (N, K, .., ..) bfloat16 in NHWC; weight (K, C, 3, 3), bias (K,) or null, float32. K a multiple of 16.
extern "C" void conv_forward(int64_t N, int64_t C, int64_t K, int64_t height, int64_t width, int64_t stride,
                             const void* x, const float* weight, const float* bias, void* y) {
#ifdef __AVX512BF16__
    using namespace half_maps;
    auto* run = half_maps::forward;
#ifdef NORMLAB_TILES
    if (tiled_maps::are_used()) run = tiled_maps::forward;
#endif
    run(problem(N, C, K, height, width, stride), static_cast<const bits*>(x), weight, bias, static_cast<bits*>(y));
#endif
}

// dx may be null; where it is not, C is a multiple of 16. dweight and dbias may be null.
extern "C" void conv_backward(int64_t N, int64_t C, int64_t K, int64_t height, int64_t width, int64_t stride,
                              const void* x, const float* weight, const void* grad, void* dx, float* dweight,
                              float* dbias) {
#ifdef __AVX512BF16__
    using namespace half_maps;
    const Problem p = problem(N, C, K, height, width, stride);
    auto* of_input = half_maps::backward_input;
    auto* of_weights = half_maps::backward_weights;
#ifdef NORMLAB_TILES
    if (tiled_maps::are_used()) of_input = tiled_maps::backward_input, of_weights = tiled_maps::backward_weights;
#endif
    const bits* g = static_cast<const bits*>(grad);
    if (dx) of_input(p, g, weight, static_cast<bits*>(dx));
    if (dweight) of_weights(p, static_cast<const bits*>(x), g, dweight);
    if (dbias) backward_bias(p, g, dbias);
#endif
}

// The same two calls for float32 maps.
extern "C" void conv_float_forward(int64_t N, int64_t C, int64_t K, int64_t height, int64_t width, int64_t stride,
                                   const void* x, const float* weight, const float* bias, void* y) {
#ifdef NORMLAB_PRODUCTS
    using namespace float_maps;
    const Shape shape = shape_of(N, C, K, height, width, stride);
    const int size = tile_size(shape);
    auto* run = size == 4 ? forward_by_tiles<ByFour> : size == 2 ? forward_by_tiles<ByTwo> : float_maps::forward;
    run(shape, static_cast<const float*>(x), weight, bias, static_cast<float*>(y));
#endif
}

extern "C" void conv_float_backward(int64_t N, int64_t C, int64_t K, int64_t height, int64_t width, int64_t stride,
                                    const void* x, const float* weight, const void* grad, void* dx, float* dweight,
                                    float* dbias) {
#ifdef NORMLAB_PRODUCTS
    using namespace float_maps;
    const Shape shape = shape_of(N, C, K, height, width, stride);
    const float* g = static_cast<const float*>(grad);
    const int size = tile_size(shape);
    auto* of_input = size == 4   ? backward_input_by_tiles<ByFour>
                     : size == 2 ? backward_input_by_tiles<ByTwo>
                     : stride == 1 ? backward_input_by_one
                                   : backward_input_by_two;
    auto* of_weights = size == 4   ? backward_weights_by_tiles<ByFour>
                       : size == 2 ? backward_weights_by_tiles<ByTwo>
                                   : float_maps::backward_weights;
    if (dx) of_input(shape, g, weight, static_cast<float*>(dx));
    if (dweight) of_weights(shape, static_cast<const float*>(x), g, dweight);
    if (dbias) float_maps::backward_bias(shape, g, dbias);
#endif
}
