// How often each of the 65,536 bfloat16 values occurs, and which channels are ever other than zero, in one read.
//
// A map is (rows, C, inner): channels-last is (N*H*W, C, 1), contiguous NCHW is (N, C, H*W). After a ReLU half of all
// values are the same zero. Where the processor can take these out of a vector they are counted by their number; for the
// others, neighbours count in four tables: increments of one address would wait for each other.
#if defined(__AVX512VBMI2__)
#include <immintrin.h>
#endif
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t kPatterns = 1 << 16, kTables = 4, kBlock = 8192, kLanes = 64;  // a block is 16 KiB: in the cache

// The bits of n values; bfloat16 is read where it lies, float32 is rounded to the nearest, ties to even.
const uint16_t* bits_of(const uint16_t* values, int64_t, uint16_t*) { return values; }
const uint16_t* bits_of(const float* values, int64_t n, uint16_t* buffer) {
    for (int64_t i = 0; i < n; ++i) {
        uint32_t u;
        std::memcpy(&u, values + i, 4);
        const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;  // rounding would carry a NaN over to -0
        buffer[i] = is_nan ? 0x7fc0 : uint16_t((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
    }
    return buffer;
}

// Writes the values other than +0 to `packed`, which holds 32 more than n, and returns their number.
#if defined(__AVX512VBMI2__) && defined(__AVX512BW__)
constexpr bool kPacks = true;
int64_t pack_nonzero(const uint16_t* bits, int64_t n, uint16_t* packed) {
    int64_t nonzeros = 0, i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m512i values = _mm512_loadu_si512(bits + i);
        const __mmask32 nonzero = _mm512_test_epi16_mask(values, values);
        _mm512_storeu_si512(packed + nonzeros, _mm512_maskz_compress_epi16(nonzero, values));
        nonzeros += __builtin_popcount(nonzero);
    }
    for (; i < n; ++i)
        if (bits[i] != 0) packed[nonzeros++] = bits[i];
    return nonzeros;
}
#else
constexpr bool kPacks = false;
int64_t pack_nonzero(const uint16_t*, int64_t, uint16_t*) { return 0; }
#endif

void count_each(const uint16_t* bits, int64_t n, uint32_t* tables) {
    uint32_t *a = tables, *b = a + kPatterns, *c = b + kPatterns, *d = c + kPatterns;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        uint64_t four;  // one load for four values; which goes to which table does not matter
        std::memcpy(&four, bits + i, 8);
        ++a[four & 0xffff];
        ++b[four >> 16 & 0xffff];
        ++c[four >> 32 & 0xffff];
        ++d[four >> 48];
    }
    for (; i < n; ++i) ++a[bits[i]];
}

// Counts n <= kBlock values.
void count(const uint16_t* bits, int64_t n, uint32_t* tables) {
    if (!kPacks) return count_each(bits, n, tables);
    uint16_t packed[kBlock + 32];
    const int64_t nonzeros = pack_nonzero(bits, n, packed);
    tables[0] += uint32_t(n - nonzeros);
    count_each(packed, nonzeros, tables);
}

uint16_t any_bit(const uint16_t* bits, int64_t n) {
    uint16_t any = 0;
    for (int64_t i = 0; i < n; ++i) any |= bits[i];
    return any;
}

struct Map {
    int64_t rows, C, inner;
};

// One thread's share: tables of counts, and for each channel all bits that were ever set.
struct Share {
    std::vector<uint32_t> tables = std::vector<uint32_t>(kTables * kPatterns);
    std::vector<uint16_t> seen, buffer = std::vector<uint16_t>(kBlock);
    explicit Share(int64_t C) : seen(C) {}

    // n values of one channel, in a row.
    template <class T>
    void plane(const T* values, int64_t n, int64_t channel) {
        for (int64_t i = 0; i < n; i += kBlock) {
            const int64_t length = std::min(kBlock, n - i);
            const uint16_t* bits = bits_of(values + i, length, buffer.data());
            count(bits, length, tables.data());
            seen[channel] |= any_bit(bits, length);
        }
    }

    // One pixel of up to kBlock channels, or several pixels.
    template <class T>
    void pixels(const T* values, int64_t number, int64_t C) {
        const uint16_t* bits = bits_of(values, number * C, buffer.data());
        count(bits, number * C, tables.data());
        int64_t i = 0;
        if (kLanes % C == 0) {  // the channels of several pixels side by side, in registers
            uint16_t lanes[kLanes] = {};
            for (; i + kLanes <= number * C; i += kLanes)
                for (int64_t k = 0; k < kLanes; ++k) lanes[k] |= bits[i + k];
            for (int64_t k = 0; k < kLanes; ++k) seen[k % C] |= lanes[k];
        }
        for (; i < number * C; i += C)
            for (int64_t c = 0; c < C; ++c) seen[c] |= bits[i + c];
    }
};

template <class T>
void count_map(const Map& m, const T* values, int64_t* counts, uint8_t* alive) {
    const bool by_pixel = m.inner == 1 && m.C <= kBlock;
    const int64_t step = by_pixel ? kBlock / m.C : 1;
    const int64_t pieces = by_pixel ? (m.rows + step - 1) / step : m.rows * m.C;
    const int64_t threads = std::clamp<int64_t>(m.rows * m.C * m.inner / (1 << 18), 1, omp_get_max_threads());
#pragma omp parallel num_threads(threads)
    {
        Share share(m.C);
#pragma omp for schedule(static)
        for (int64_t piece = 0; piece < pieces; ++piece) {
            if (by_pixel)
                share.pixels(values + piece * step * m.C, std::min(step, m.rows - piece * step), m.C);
            else
                share.plane(values + piece * m.inner, m.inner, piece % m.C);
        }
#pragma omp critical
        {
            for (int64_t k = 0; k < kTables; ++k)
                for (int64_t p = 0; p < kPatterns; ++p) counts[p] += share.tables[k * kPatterns + p];
            for (int64_t c = 0; c < m.C; ++c) alive[c] |= (share.seen[c] & 0x7fff) != 0;  // -0 is zero too
        }
    }
}

}  // namespace

// Adds to counts (65536,), by bit pattern, and to alive (C,). A thread may see up to 2^32 values of one pattern a call.
extern "C" void count_patterns(int64_t rows, int64_t C, int64_t inner, int is_bf16, const void* values, int64_t* counts,
                               uint8_t* alive) {
    const Map map{rows, C, inner};
    if (is_bf16)
        count_map(map, static_cast<const uint16_t*>(values), counts, alive);
    else
        count_map(map, static_cast<const float*>(values), counts, alive);
}
