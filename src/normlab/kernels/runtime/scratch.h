// Memory that a thread keeps from call to call: fresh pages would cost as much as the arithmetic on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {  // each library keeps its own

// Room for `size` values of type T for one of the USES purposes of a library, 64-byte aligned, so that vectors may be
// stored whole and BLAS adds up in the same order in every run. What it holds is what the last call left.
template <class T, int USES>
T* kept_memory(int use, int64_t size) {
    struct Kept {
        size_t bytes = 0;
        void* place = nullptr;
        ~Kept() { std::free(place); }
    };
    static thread_local Kept all[USES];
    Kept& kept = all[use];
    if (kept.bytes < size * sizeof(T)) {
        std::free(kept.place);
        kept.bytes = (size * sizeof(T) + 63) / 64 * 64;
        kept.place = std::aligned_alloc(64, kept.bytes);
    }
    return static_cast<T*>(kept.place);
}

}  // namespace
