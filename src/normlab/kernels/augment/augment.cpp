// Crop, flip and normalise a batch of uint8 images in one pass over the bytes.
//
// A pixel takes one of 256 values in each channel, so that the normalised values are a table: what is written is
// table[channel][byte], and the table's entry for byte 0 where the crop reaches over the border.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

struct Batch {
    int64_t N, C, H, W, pad;
    bool channels_last;
    const uint8_t* images;          // (M, C, H, W)
    const int64_t *index, *top, *left;  // (N,); top and left may be null: no crop
    const bool *mirrored, *upturned;   // (N,); each may be null
};

// Writes row h of channel c of one result: table[byte] along the columns, `stride` elements apart.
template <class T>
void write_row(const uint8_t* row, int64_t W, int64_t shift, bool mirrored, const T* table, T* out, int64_t stride) {
    // Column w of the crop reads column w + shift of the image; before `first` and from `last` on it reads zeros.
    const int64_t first = std::clamp<int64_t>(-shift, 0, W), last = row ? std::clamp<int64_t>(W - shift, first, W) : 0;
    const int64_t step = mirrored ? -stride : stride;
    if (mirrored) out += (W - 1) * stride;
    for (int64_t w = 0; w < W; ++w, out += step) *out = table[row && w >= first && w < last ? row[w + shift] : 0];
}

template <class T>
void augment(const Batch& b, const T* tables, T* out) {
    const int64_t plane = b.H * b.W;
    const int64_t threads = std::min<int64_t>({omp_get_max_threads(), b.N, b.N * b.C * plane / 8192});
#pragma omp parallel for schedule(static) num_threads(std::max<int64_t>(1, threads))
    for (int64_t n = 0; n < b.N; ++n) {
        const uint8_t* image = b.images + b.index[n] * b.C * plane;
        const int64_t down = b.top ? b.top[n] - b.pad : 0, right = b.left ? b.left[n] - b.pad : 0;
        const bool mirrored = b.mirrored && b.mirrored[n], upturned = b.upturned && b.upturned[n];
        T* result = out + n * b.C * plane;
        for (int64_t h = 0; h < b.H; ++h) {
            const int64_t from = h + down, to = upturned ? b.H - 1 - h : h;
            const bool inside = from >= 0 && from < b.H;
            for (int64_t c = 0; c < b.C; ++c) {
                const uint8_t* row = inside ? image + c * plane + from * b.W : nullptr;
                T* target = b.channels_last ? result + to * b.W * b.C + c : result + c * plane + to * b.W;
                write_row(row, b.W, right, mirrored, tables + 256 * c, target, b.channels_last ? b.C : 1);
            }
        }
    }
}

}  // namespace

// tables (C, 256): the value of each byte, float32 or the bits of bfloat16, as `out` is.
extern "C" void crop_flip_normalise(int64_t N, int64_t C, int64_t H, int64_t W, int64_t pad, int is_bf16,
                                    int channels_last, const uint8_t* images, const int64_t* index,
                                    const int64_t* top, const int64_t* left, const bool* mirrored,
                                    const bool* upturned, const void* tables, void* out) {
    const Batch batch{N, C, H, W, pad, bool(channels_last), images, index, top, left, mirrored, upturned};
    if (is_bf16)
        augment(batch, static_cast<const uint16_t*>(tables), static_cast<uint16_t*>(out));
    else
        augment(batch, static_cast<const float*>(tables), static_cast<float*>(out));
}
