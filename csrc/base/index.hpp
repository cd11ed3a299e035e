// Positions in row-major memory: computed in signed integers, as differences of them count, while
// containers take unsigned ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace comix {

// container[at(row * width + column)]
constexpr std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

}  // namespace comix
