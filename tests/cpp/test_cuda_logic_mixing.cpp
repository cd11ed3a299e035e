// The logic of the CUDA mixing kernels, chunk by chunk on the host, against the CPU's core.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/half.hpp"
#include "cuda/mixing/mix.hpp"
#include "cuda/mixing/transpose.hpp"
#include "doctest.h"
#include "draws.hpp"
#include "host_teams.hpp"

using namespace comix;
using namespace comix::cuda;
namespace kernels = comix::cuda::mixing;
using comix::mixing::Layout;
using comix::mixing::Plan;

namespace {

struct Size {
    std::int64_t channels, height, width, grid_height, grid_width;
};
// Rows of 16-byte chunks, blocks of them and not, and sizes that do not divide.
const Size kSizes[] = {{3, 16, 32, 4, 4}, {2, 8, 32, 3, 5},    {3, 7, 9, 3, 4},  {1, 10, 16, 4, 3},
                       {2, 5, 5, 5, 5},   {4, 13, 11, 1, 1},   {16, 9, 6, 2, 5}, {3, 1, 17, 1, 5},
                       {3, 17, 1, 5, 1},  {5, 33, 48, 16, 16}, {8, 4, 64, 2, 7}, {7, 30, 96, 3, 2},
                       {5, 21, 64, 2, 4}};

Layout layout_of(const Size& size, bool channels_last) {
    Layout layout;
    layout.channels = size.channels;
    layout.height = size.height;
    layout.width = size.width;
    layout.image = size.channels * size.height * size.width;
    layout.channel = channels_last ? 1 : size.height * size.width;
    layout.pixel = channels_last ? size.channels : 1;
    layout.row = size.width * layout.pixel;
    return layout;
}

struct Maps {
    Size size;
    std::int64_t outputs, inputs;
    std::vector<std::int64_t> source, block;
    std::vector<float> weight;

    Maps(std::mt19937& random, const Size& s, std::int64_t m, std::int64_t n)
        : size(s), outputs(m), inputs(n) {
        const std::int64_t blocks = s.grid_height * s.grid_width;
        const auto below = [&](std::int64_t limit) {
            return static_cast<std::int64_t>(random()) % limit;
        };
        for (std::int64_t place = 0; place < outputs * blocks; ++place) {
            const bool moved = below(2) == 0, same = below(5) == 0;
            const std::int64_t kind = below(4);
            const float w = kind == 0   ? 1.0F
                            : kind == 1 ? 0.0F
                                        : static_cast<float>(below(1025)) / 1024.0F;
            for (int k = 0; k < 2; ++k) {
                source.push_back(below(inputs));
                block.push_back(moved ? below(blocks) : place % blocks);
                weight.push_back(k == 0 ? w : 1.0F - w);
            }
            if (!same) continue;
            source.back() = source[source.size() - 2];
            block.back() = block[block.size() - 2];
        }
    }
    Plan view() const {
        return {outputs,       size.grid_height, size.grid_width,
                source.data(), block.data(),     weight.data()};
    }
};

// 16-byte aligned or off by one element, as `shift` says.
template <class T>
class Images {
  public:
    Images(std::int64_t count, std::int64_t shift)
        : words_(static_cast<std::size_t>(count + shift) * sizeof(T) / sizeof(Words) + 2),
          data_(reinterpret_cast<T*>(words_.data()) + shift),
          count_(count) {
        std::memset(words_.data(), 0x5A, words_.size() * sizeof(Words));
    }
    static Images random(std::mt19937& random, std::int64_t count, std::int64_t shift) {
        Images images(count, shift);
        for (std::int64_t k = 0; k < count; ++k) images.data_[k] = random_value<T>(random);
        return images;
    }
    T* data() const { return data_; }
    bool same_bytes(const Images& other) const {
        return std::memcmp(data_, other.data_, static_cast<std::size_t>(count_) * sizeof(T)) == 0;
    }

  private:
    using Words = kernels::Words<16>;

    mutable std::vector<Words> words_;
    T* data_;
    std::int64_t count_;
};

// image, plane, planes, block row, dy, y, lines, begin, count
using Fields = std::array<std::int64_t, 9>;

Fields fields(const kernels::Chunk& chunk) {
    return {chunk.image, chunk.plane, chunk.planes, chunk.block_row, chunk.dy,
            chunk.y,     chunk.lines, chunk.begin,  chunk.count};
}

// run(V) for all widths of vectors, as types.
template <class T, class Run>
void with_widths(const Run& run) {
    run(std::integral_constant<int, 1>());
    run(std::integral_constant<int, 16 / sizeof(T)>());
    if constexpr (sizeof(T) < 8) run(std::integral_constant<int, 8 / sizeof(T)>());
    if constexpr (sizeof(T) < 4) run(std::integral_constant<int, 4 / sizeof(T)>());
}

template <class T, int V>
void run_mix(HostTeam&& team, const Maps& maps, const Layout& layout, const T* images, T* out,
             int planes) {
    const kernels::Mix<T> mix(maps.view(), maps.inputs, layout, images, out, V, planes);
    for_each_item(std::move(team), mix.chunks.count(),
                  [&](std::int64_t item) { kernels::mix_item<T, V>(mix, item); });
}

template <class T>
void check_mix(Dtype dtype, unsigned seed) {
    std::mt19937 random(seed);
    int vectors = 0;
    for (const auto& size : kSizes) {
        for (const bool channels_last : {false, true}) {
            for (const std::int64_t shift : {0, 1}) {
                CAPTURE(size.height);
                CAPTURE(size.width);
                CAPTURE(channels_last);
                CAPTURE(shift);
                const Layout layout = layout_of(size, channels_last);
                const Maps maps(random, size, 4, 3);
                const auto images = Images<T>::random(random, 3 * layout.image, shift);
                Images<T> expected(4 * layout.image, 0);
                comix::mixing::mix(maps.view(), dtype, layout, images.data(), expected.data(), 1);
                for (const int planes : {1, 2, 3, 4}) {
                    CAPTURE(planes);
                    with_widths<T>([&](auto width) {
                        constexpr int V = decltype(width)::value;
                        Images<T> out(4 * layout.image, 0);
                        if (V > 1 && !kernels::lines_aligned<T>(layout, out.data(), V * sizeof(T)))
                            return;
                        vectors += V > 1;
                        run_mix<T, V>(any_team(random), maps, layout, images.data(), out.data(),
                                      planes);
                        CAPTURE(V);
                        CHECK(out.same_bytes(expected));
                    });
                }
            }
        }
    }
    CHECK(vectors >= 40);
}

// The lists that Python makes by a stable sort.
struct Lists {
    std::vector<std::int64_t> order, starts;

    explicit Lists(const Maps& maps) {
        const std::int64_t blocks = maps.size.grid_height * maps.size.grid_width;
        std::vector<std::int64_t> key;
        for (std::size_t e = 0; e < maps.source.size(); ++e)
            key.push_back(maps.weight[e] == 0.0F ? maps.inputs * blocks
                                                 : maps.source[e] * blocks + maps.block[e]);
        order.resize(key.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
            return key[static_cast<std::size_t>(a)] < key[static_cast<std::size_t>(b)];
        });
        std::sort(key.begin(), key.end());
        for (std::int64_t k = 0; k <= maps.inputs * blocks; ++k)
            starts.push_back(std::lower_bound(key.begin(), key.end(), k) - key.begin());
    }
};

template <class T, int V>
void run_transpose(HostTeam&& team, const Maps& maps, const Lists& lists, const Layout& layout,
                   const T* out, T* images) {
    const kernels::Transpose<T> transpose(maps.view(), {lists.order.data(), lists.starts.data()},
                                          maps.inputs, layout, out, images, V);
    for_each_item(std::move(team), transpose.chunks.count(),
                  [&](std::int64_t item) { kernels::gather_item<T, V>(transpose, item); });
}

// From [n, H, W, C] to [n, C, H, W].
template <class To, class From>
std::vector<To> channels_first(const From* data, const Layout& layout, std::int64_t count) {
    std::vector<To> result;
    for (std::int64_t n = 0; n < count; ++n)
        for (std::int64_t c = 0; c < layout.channels; ++c)
            for (std::int64_t y = 0; y < layout.height; ++y)
                for (std::int64_t x = 0; x < layout.width; ++x)
                    result.push_back(static_cast<To>(data[n * layout.image + c * layout.channel +
                                                          y * layout.row + x * layout.pixel]));
    return result;
}

template <class T, class Sum>
void check_transpose(Dtype sums, unsigned seed) {
    std::mt19937 random(seed);
    constexpr std::int64_t inputs = 3, outputs = 5;
    for (const auto& size : kSizes) {
        for (const bool channels_last : {false, true}) {
            for (const std::int64_t shift : {0, 1}) {
                CAPTURE(size.height);
                CAPTURE(size.width);
                CAPTURE(channels_last);
                const Layout layout = layout_of(size, channels_last);
                const Maps maps(random, size, outputs, inputs);
                const Lists lists(maps);
                const auto out = Images<T>::random(random, outputs * layout.image, shift);
                Images<T> back(inputs * layout.image, 0);
                run_transpose<T, 1>(any_team(random), maps, lists, layout, out.data(), back.data());

                // The CPU knows float32 and float64, channels first.
                const auto given = channels_first<Sum>(out.data(), layout, outputs);
                std::vector<Sum> expected(static_cast<std::size_t>(inputs * layout.image));
                comix::mixing::mix_transpose(maps.view(), sums, layout_of(size, false),
                                             given.data(), expected.data(), 1);
                for (auto& value : expected) value = kernels::store<T>(value);
                CHECK(channels_first<Sum>(back.data(), layout, inputs) == expected);

                with_widths<T>([&](auto width) {
                    constexpr int V = decltype(width)::value;
                    if (!kernels::lines_aligned<T>(layout, back.data(), V * sizeof(T))) return;
                    Images<T> wide(inputs * layout.image, 0);
                    run_transpose<T, V>(any_team(random), maps, lists, layout, out.data(),
                                        wide.data());
                    CAPTURE(V);
                    CHECK(wide.same_bytes(back));
                });
            }
        }
    }
}

}  // namespace

TEST_CASE("mix: the kernel's chunks give the bytes of the CPU") {
    SUBCASE("float32") {
        check_mix<float>(Dtype::float32, 71);
    }
    SUBCASE("float64") {
        check_mix<double>(Dtype::float64, 72);
    }
    SUBCASE("float16") {
        check_mix<Float16>(Dtype::float16, 73);
    }
    SUBCASE("bfloat16") {
        check_mix<BFloat16>(Dtype::bfloat16, 74);
    }
    SUBCASE("uint8") {
        check_mix<std::uint8_t>(Dtype::uint8, 75);
    }
}

TEST_CASE("mix_transpose: the kernel gathers what the CPU adds up") {
    SUBCASE("float32") {
        check_transpose<float, float>(Dtype::float32, 81);
    }
    SUBCASE("float64") {
        check_transpose<double, double>(Dtype::float64, 82);
    }
    SUBCASE("float16") {
        check_transpose<Float16, float>(Dtype::float32, 83);
    }
    SUBCASE("bfloat16") {
        check_transpose<BFloat16, float>(Dtype::float32, 84);
    }
}

TEST_CASE("indices out of range stay in bounds") {
    std::mt19937 random(91);
    const Size size{2, 9, 16, 2, 3};
    const Layout layout = layout_of(size, false);
    Maps maps(random, size, 4, 3), nearest = maps;
    for (std::size_t e = 0; e < maps.source.size(); e += 3) {
        const bool low = random() % 2 == 0;
        maps.source[e] = low ? -1 : INT64_MAX;
        nearest.source[e] = low ? 0 : 2;
        maps.block[e] = low ? INT64_MIN : 6;
        nearest.block[e] = low ? 0 : 5;
    }
    const auto images = Images<float>::random(random, 3 * layout.image, 0);
    Images<float> expected(4 * layout.image, 0), out(4 * layout.image, 0);
    comix::mixing::mix(nearest.view(), Dtype::float32, layout, images.data(), expected.data(), 1);
    run_mix<float, 4>(HostTeam(32), maps, layout, images.data(), out.data(), 2);
    CHECK(out.same_bytes(expected));
}

TEST_CASE("as many bytes are moved at once as blocks consist of") {
    alignas(16) static std::uint8_t memory[32];
    const auto bytes = [](std::int64_t width, std::int64_t blocks, int shift, std::int64_t pixel) {
        const Layout layout = layout_of({pixel == 1 ? 3 : pixel, 8, width, 1, blocks}, pixel > 1);
        return std::array<int, 3>{
            kernels::bytes_at_once<float>(layout, blocks, memory + shift, memory),
            kernels::bytes_at_once<Float16>(layout, blocks, memory, memory + shift),
            kernels::bytes_at_once<std::uint8_t>(layout, blocks, memory + shift, memory)};
    };
    using Bytes = std::array<int, 3>;
    CHECK(bytes(224, 8, 0, 1) == Bytes{16, 8, 4});
    CHECK(bytes(224, 16, 0, 1) == Bytes{8, 4, 16});  // blocks of 14 bytes
    CHECK(bytes(224, 8, 8, 1) == Bytes{8, 8, 4});
    CHECK(bytes(224, 8, 4, 1) == Bytes{4, 4, 4});
    CHECK(bytes(224, 8, 2, 1)[1] == 2);
    CHECK(bytes(225, 5, 0, 1) == Bytes{4, 2, 1});
    CHECK(bytes(224, 5, 0, 1) == Bytes{16, 16, 16});  // uneven
    CHECK(bytes(32, 16, 0, 3) == Bytes{8, 4, 16});    // 24, 12 and 6 bytes
    CHECK(kernels::bytes_at_once<double>(layout_of({1, 4, 9, 1, 3}, false), 3, memory, memory) ==
          8);
}

TEST_CASE("items cover every element once, each in one block row") {
    constexpr std::int64_t images = 3;
    for (const auto& size : kSizes) {
        for (const bool channels_last : {false, true}) {
            for (const int lines : {1, 4}) {
                for (const int planes : {1, 2, 4}) {
                    CAPTURE(size.height);
                    CAPTURE(lines);
                    CAPTURE(planes);
                    const Layout layout = layout_of(size, channels_last);
                    const kernels::Axis rows(size.height, size.grid_height);
                    const kernels::Chunks chunks(layout, rows, images, 4, lines, planes);
                    kernels::Chunks wide = chunks;
                    CHECK(chunks.small);
                    wide.small = false;
                    std::vector<int> seen(static_cast<std::size_t>(images * layout.image));
                    int wrong = 0;
                    for (std::int64_t item = 0; item < chunks.count(); ++item) {
                        const kernels::Chunk chunk(chunks, rows, item), other(wide, rows, item);
                        wrong += fields(chunk) != fields(other);
                        for (int y = chunk.y; y < chunk.y + chunk.lines; ++y) {
                            const std::int64_t line = chunk.offset(chunks, chunk.image, y);
                            wrong += rows.block_of(y) != chunk.block_row ||
                                     rows.start(chunk.block_row) + chunk.dy != chunk.y;
                            for (int p = 0; p < chunk.planes; ++p)
                                for (int e = 0; e < chunk.count; ++e)
                                    ++seen[static_cast<std::size_t>(line + p * layout.channel +
                                                                    chunk.begin + e)];
                        }
                    }
                    CHECK(wrong == 0);
                    CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
                }
            }
        }
    }
}

TEST_CASE("items of batches that 31 bits cannot number") {
    const Size size{5, 30, 96, 3, 2};
    const Layout layout = layout_of(size, false);
    const kernels::Axis rows(size.height, size.grid_height);
    const std::int64_t images = std::int64_t{1} << 40;
    const kernels::Chunks chunks(layout, rows, images, 4, 4, 4);
    CHECK(!chunks.small);
    // Two groups of planes (3 and 2), three of lines (4, 4, 2) in each block row, 24 chunks.
    CHECK(chunks.count() == images * 2 * 9 * 24);
    const kernels::Chunk last(chunks, rows, chunks.count() - 1);
    CHECK(fields(last) == Fields{images - 1, 3, 2, 2, 8, 28, 2, 92, 4});
    const kernels::Chunk later(chunks, rows, (images / 2 + 1) * 2 * 9 * 24 + 4 * 24 + 7);
    CHECK(fields(later) == Fields{images / 2 + 1, 0, 3, 1, 4, 14, 4, 28, 4});
    CHECK(later.offset(chunks, later.image, later.y) ==
          (images / 2 + 1) * layout.image + 14 * layout.row);
}

TEST_CASE("sizes that would overflow are refused") {
    CHECK_THROWS_WITH_AS(kernels::Axis(4, 5),
                         "plan: expected at most one block per pixel of the images",
                         InvalidArgument);
    CHECK_THROWS_AS(kernels::Axis(60000, 60000), InvalidArgument);
    CHECK_NOTHROW(kernels::Axis(40000, 40000));
}
