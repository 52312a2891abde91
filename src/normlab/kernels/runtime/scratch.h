// Memory that a thread keeps from call to call: fresh pages would cost as much as the arithmetic on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {  // each library has its own

// Room for `size` values of type T for one of the USES purposes of a library, 64-byte aligned, so that vectors may be
// stored whole and BLAS adds up in the same order in every run. What it holds is what the last call left.
template <class T, int USES>
T* kept_memory(int use, int64_t size) {
    struct Block {
        size_t bytes = 0;
        void* memory = nullptr;
        ~Block() { std::free(memory); }
    };
    static thread_local Block all[USES];
    Block& block = all[use];
    if (block.bytes < size * sizeof(T)) {
        std::free(block.memory);
        block.bytes = (size * sizeof(T) + 63) / 64 * 64;
        block.memory = std::aligned_alloc(64, block.bytes);
    }
    return static_cast<T*>(block.memory);
}

}  // namespace
