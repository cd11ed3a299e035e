// What both mixing kernels know about images, blocks and the plan.
//
// Pixels, blocks and elements of one line fit 31 bits (checked before the launch: Axis, Chunks);
// offsets into images have 64.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "base/half.hpp"
#include "base/host_device.hpp"
#include "cuda/base/divisor.hpp"
#include "cuda/mixing/mixing.hpp"

namespace comix::cuda::mixing {

COMIX_HD inline int smaller(int a, int b) {
    return a < b ? a : b;
}

// `index` if it is in 0..count-1, else the nearest number there.
COMIX_HD inline std::int64_t clamped(std::int64_t index, std::int64_t count) {
    return index < 0 ? 0 : index < count ? index : count - 1;
}

// The pixels of a block along one axis.
struct Range {
    int start, length;
};

// One axis: which block a pixel is in, and where blocks start (base/blocks.hpp).
class Axis {
  public:
    Axis(std::int64_t pixels, std::int64_t blocks) : pixels_(pixels), blocks_(blocks) {
        require(blocks <= pixels, "plan: expected at most one block per pixel of the images");
        require((pixels + 1) * (blocks + 1) < std::int64_t{1} << 31,
                "images: expected pixels times blocks below 2^31 along each axis on CUDA, got " +
                    std::to_string(pixels) + " x " + std::to_string(blocks));
    }

    COMIX_HD int pixels() const { return pixels_.value(); }
    COMIX_HD int blocks() const { return blocks_.value(); }
    COMIX_HD int block_of(int pixel) const { return pixels_.quotient(pixel * blocks()); }
    COMIX_HD int start(int block) const {
        return blocks_.quotient(block * pixels() + blocks() - 1);
    }
    COMIX_HD Range range(int block) const {
        const int begin = start(block);
        return {begin, start(block + 1) - begin};
    }
    // The row of a row-major number, in a grid that has this axis as its columns.
    COMIX_HD int row_of(int number) const { return blocks_.quotient(number); }

  private:
    Divisor pixels_, blocks_;
};

// A batch of images cut into chunks of at most `width` elements of one line: a row of one channel,
// or, with channels last, of all.
struct Chunks {
    std::int64_t image, channel, row;    // strides in elements
    std::int64_t images;                 // how many
    Divisor pixel;                       // elements per pixel of a line
    WideDivisor per_line, rows, planes;  // chunks per line, lines per plane, planes per image
    int line, width;                     // elements per line, and per chunk

    Chunks(const Layout& layout, std::int64_t count, int elements)
        : image(layout.image),
          channel(layout.channel),
          row(layout.row),
          images(count),
          pixel(layout.pixel),
          per_line((layout.width * layout.pixel + elements - 1) / elements),
          rows(layout.height),
          planes(layout.channels_last() ? 1 : layout.channels),
          line(static_cast<int>(layout.width * layout.pixel)),
          width(elements) {
        require(layout.width * layout.pixel < std::int64_t{1} << 30,
                "images: expected lines of fewer than 2^30 elements on CUDA");
    }

    std::int64_t count() const { return images * planes.value() * rows.value() * per_line.value(); }
};

// Where a chunk lies: elements begin..begin+count-1 of line `y` of `plane` of `image`.
struct Chunk {
    std::int64_t image, plane;
    int y, begin, count;

    COMIX_HD Chunk(const Chunks& chunks, std::int64_t item) {
        const std::int64_t line = chunks.per_line.quotient(item);
        begin = static_cast<int>(item - line * chunks.per_line.value()) * chunks.width;
        const std::int64_t whole = chunks.rows.quotient(line);
        y = static_cast<int>(line - whole * chunks.rows.value());
        image = chunks.planes.quotient(whole);
        plane = whole - image * chunks.planes.value();
        count = smaller(chunks.line - begin, chunks.width);
    }
    // Of element 0 of line `row` of the same plane of another image.
    COMIX_HD std::int64_t offset(const Chunks& chunks, std::int64_t other, int row) const {
        return other * chunks.image + plane * chunks.channel + row * chunks.row;
    }
    COMIX_HD std::int64_t offset(const Chunks& chunks) const {
        return offset(chunks, image, y) + begin;
    }
};

// Blends are computed in double for double images, in float for all others.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
COMIX_HD T store(Accumulator<T> value) {
    if constexpr (std::is_same_v<T, std::uint8_t>) {
        const float rounded = value + 0.5F;
        return static_cast<T>(rounded < 0.0F ? 0.0F : 255.0F < rounded ? 255.0F : rounded);
    } else if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
        return T::from(value);
    } else {
        return value;
    }
}

// V neighbouring elements: 16 bytes, or one element.
template <class T, int V>
struct Vector {
    static constexpr bool kWide = V > 1;
    static_assert(!kWide || V * sizeof(T) == 16, "one 16-byte access");

    T element[V];
};

struct alignas(16) Words {
    std::uint32_t word[4];
};

// 16 bytes at once when they are aligned, else one element after the other.
template <class T, int V>
COMIX_HD Vector<T, V> load(const T* from) {
    Vector<T, V> vector;
    if constexpr (Vector<T, V>::kWide) {
        if (reinterpret_cast<std::uintptr_t>(from) % sizeof(Words) == 0) {
#if defined(__CUDA_ARCH__)
            const Words words = *reinterpret_cast<const Words*>(from);
            memcpy(&vector, &words, sizeof words);
#else
            std::memcpy(&vector, from, sizeof vector);
#endif
            return vector;
        }
        for (int e = 0; e < V; ++e) vector.element[e] = from[e];
    } else {
        vector.element[0] = from[0];
    }
    return vector;
}

// `to` is aligned when the vector has 16 bytes.
template <class T, int V>
COMIX_HD void put(const Vector<T, V>& vector, T* to) {
    if constexpr (Vector<T, V>::kWide) {
#if defined(__CUDA_ARCH__)
        Words words;
        memcpy(&words, &vector, sizeof words);
        *reinterpret_cast<Words*>(to) = words;
#else
        std::memcpy(to, &vector, sizeof vector);
#endif
    } else {
        to[0] = vector.element[0];
    }
}

// Whether chunks of 16 bytes stay aligned in all lines of images that begin at `memory`.
template <class T>
bool lines_aligned(const Layout& layout, const void* memory) {
    const auto fits = [](std::int64_t elements) {
        return elements * static_cast<std::int64_t>(sizeof(T)) % 16 == 0;
    };
    const bool one_plane = layout.channels_last() || layout.channels == 1;
    return reinterpret_cast<std::uintptr_t>(memory) % 16 == 0 && fits(layout.image) &&
           (one_plane || fits(layout.channel)) && fits(layout.row);
}

}  // namespace comix::cuda::mixing
