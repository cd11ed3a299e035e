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

// How a batch of images is dealt out. An item is one chunk of at most `width` elements of a line,
// in up to `lines` neighbouring lines of one block row, and the same in up to `together`
// neighbouring planes: what a thread works out for it serves them all. A line is a row of one
// channel or, with channels last, of all of them, and then the image is one plane.
//
// Numbers go along a line first, then down the lines, then from plane to plane and image to image.
struct Chunks {
    std::int64_t image, channel;    // strides in elements
    std::int64_t images, planes;    // how many, and of one image
    Divisor pixel;                  // elements per pixel of a line
    int row, line;                  // elements from line to line, and in one
    int width, lines, together;     // of an item
    Divisor per_block_row;          // groups of lines
    std::int64_t per_line, groups;  // chunks; groups of lines of a plane
    std::int64_t plane_groups;      // of an image
    int last_together;              // planes of the last one

    // Where an item is, from its number. Small numbers do without 64 bits.
    template <class By>
    struct Places {
        By per_line, groups, plane_groups;
    };
    Places<Divisor> narrow;
    Places<WideDivisor> wide;
    bool small;

    // Planes are shared out evenly among as few items as take at most `most_planes`.
    Chunks(const Layout& layout, const Axis& rows, std::int64_t count, int elements, int most_lines,
           int most_planes)
        : image(layout.image),
          channel(layout.channel),
          images(count),
          planes(layout.channels_last() ? 1 : layout.channels),
          pixel(layout.pixel),
          row(static_cast<int>(layout.row)),
          line(static_cast<int>(layout.width * layout.pixel)),
          width(elements),
          lines(most_lines),
          together(static_cast<int>(rounded_up(planes, rounded_up(planes, most_planes)))),
          per_block_row(rounded_up(rounded_up(rows.pixels(), rows.blocks()), lines)),
          per_line(rounded_up(layout.width * layout.pixel, elements)),
          groups(std::int64_t{rows.blocks()} * per_block_row.value()),
          plane_groups(rounded_up(planes, together)),
          last_together(static_cast<int>(planes - (plane_groups - 1) * together)),
          wide{WideDivisor(per_line), WideDivisor(groups), WideDivisor(plane_groups)},
          small(0 < this->count() && this->count() < std::int64_t{1} << 31) {
        constexpr std::int64_t kMost = std::int64_t{1} << 30;
        require(layout.width * layout.pixel < kMost && layout.row < kMost,
                "images: expected lines of fewer than 2^30 elements on CUDA");
        if (small) narrow = {Divisor(per_line), Divisor(groups), Divisor(plane_groups)};
    }

    std::int64_t count() const { return images * plane_groups * groups * per_line; }

  private:
    static std::int64_t rounded_up(std::int64_t items, std::int64_t per) {
        return (items + per - 1) / per;
    }
};

// An item: elements begin..begin+count-1 of lines y..y+lines-1 of planes plane..plane+planes-1 of
// `image`. The lines are lines dy.. of block row `block_row`.
struct Chunk {
    std::int64_t image, plane;
    int planes, block_row, dy, y, lines, begin, count;

    COMIX_HD Chunk(const Chunks& chunks, const Axis& rows, std::int64_t item) {
        if (chunks.small)
            find(chunks, rows, chunks.narrow, static_cast<int>(item));
        else
            find(chunks, rows, chunks.wide, item);
    }
    // Of element 0 of line `row` of the first plane of an image.
    COMIX_HD std::int64_t offset(const Chunks& chunks, std::int64_t of_image, int row) const {
        return of_image * chunks.image + plane * chunks.channel + std::int64_t{row} * chunks.row;
    }

  private:
    template <class By, class Number>
    COMIX_HD void find(const Chunks& chunks, const Axis& rows, const By& by, Number item) {
        const Number group = by.per_line.quotient(item), whole = by.groups.quotient(group);
        const Number of_image = by.plane_groups.quotient(whole);
        begin = static_cast<int>(item - group * by.per_line.value()) * chunks.width;
        count = smaller(chunks.line - begin, chunks.width);
        const auto of_plane = static_cast<int>(group - whole * by.groups.value());
        block_row = chunks.per_block_row.quotient(of_plane);
        const Range block = rows.range(block_row);
        dy = (of_plane - block_row * chunks.per_block_row.value()) * chunks.lines;
        y = block.start + dy;
        lines = smaller(chunks.lines, block.length - dy);
        image = of_image;
        const Number plane_group = whole - of_image * by.plane_groups.value();
        plane = plane_group * std::int64_t{chunks.together};
        planes = plane_group + 1 < by.plane_groups.value() ? chunks.together : chunks.last_together;
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

// V neighbouring elements: 16, 8 or 4 bytes, or one element.
template <class T, int V>
struct Vector {
    static constexpr int kBytes = V * sizeof(T);
    static constexpr bool kWide = V > 1;
    static_assert(!kWide || kBytes == 16 || kBytes == 8 || kBytes == 4, "one access");

    T element[V];
};

template <int Bytes>
struct alignas(Bytes) Words {
    std::uint32_t word[Bytes / 4];
};

// Whether V elements from there on can be moved at once.
template <class T, int V>
COMIX_HD bool aligned(const T* memory) {
    return !Vector<T, V>::kWide ||
           reinterpret_cast<std::uintptr_t>(memory) % Vector<T, V>::kBytes == 0;
}

// `from` is aligned.
template <class T, int V>
COMIX_HD Vector<T, V> load(const T* from) {
    Vector<T, V> vector;
    if constexpr (Vector<T, V>::kWide) {
#if defined(__CUDA_ARCH__)
        const auto words = *reinterpret_cast<const Words<Vector<T, V>::kBytes>*>(from);
        memcpy(&vector, &words, sizeof words);
#else
        std::memcpy(&vector, from, sizeof vector);
#endif
    } else {
        vector.element[0] = from[0];
    }
    return vector;
}

// `to` is aligned.
template <class T, int V>
COMIX_HD void put(const Vector<T, V>& vector, T* to) {
    if constexpr (Vector<T, V>::kWide) {
#if defined(__CUDA_ARCH__)
        Words<Vector<T, V>::kBytes> words;
        memcpy(&words, &vector, sizeof words);
        *reinterpret_cast<Words<Vector<T, V>::kBytes>*>(to) = words;
#else
        std::memcpy(to, &vector, sizeof vector);
#endif
    } else {
        to[0] = vector.element[0];
    }
}

// Whether chunks of so many bytes stay aligned in all lines of images that begin at `memory`.
template <class T>
bool lines_aligned(const Layout& layout, const void* memory, int bytes) {
    const auto fits = [bytes](std::int64_t elements) {
        return elements * static_cast<std::int64_t>(sizeof(T)) % bytes == 0;
    };
    const bool one_plane = layout.channels_last() || layout.channels == 1;
    return reinterpret_cast<std::uintptr_t>(memory) % static_cast<unsigned>(bytes) == 0 &&
           fits(layout.image) && (one_plane || fits(layout.channel)) && fits(layout.row);
}

// How many bytes of a line to move at once: the most that blocks consist of. Where blocks consist
// of none, 16 if that suits the lines - most of it may lie in one block -, else one element.
template <class T>
int bytes_at_once(const Layout& layout, std::int64_t blocks, const void* from, const void* to) {
    const auto lines = [&](int bytes) {
        return lines_aligned<T>(layout, from, bytes) && lines_aligned<T>(layout, to, bytes);
    };
    const std::int64_t block =
        layout.width / blocks * layout.pixel * static_cast<std::int64_t>(sizeof(T));
    for (const int bytes : {16, 8, 4})
        if (layout.width % blocks == 0 && block % bytes == 0 && lines(bytes)) return bytes;
    return lines(16) ? 16 : static_cast<int>(sizeof(T));
}

}  // namespace comix::cuda::mixing
