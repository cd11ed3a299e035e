// How a grid of blocks divides an image: along an axis of `pixels`, block i of `blocks` covers
// start(i)..start(i+1)-1. Each pixel is in exactly one block, and nearest-neighbour upsampling of a
// block map gives each pixel its block's value. Sizes differ by at most one pixel.
#pragma once

#include <cstdint>

#include "base/host_device.hpp"

namespace comix {

COMIX_HD inline std::int64_t block_start(std::int64_t i, std::int64_t pixels, std::int64_t blocks) {
    return (i * pixels + blocks - 1) / blocks;
}

}  // namespace comix
