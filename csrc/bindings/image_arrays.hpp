// Images at the boundary, and the batch that a plan is made for.
#pragma once

#include <string>
#include <tuple>

#include "base/values.hpp"
#include "bindings/arrays.hpp"
#include "mixing/mixing.hpp"
#include "mixing/plans.hpp"

namespace comix::bindings {

inline Dtype dtype_of(const std::string& name, const py::array& array) {
    // NumPy has no bfloat16; its bits come as int16.
    const auto expect = [&](char kind, py::ssize_t bytes, Dtype dtype) {
        require(array.dtype().kind() == kind && array.itemsize() == bytes,
                "images: expected memory that holds " + name);
        return dtype;
    };
    if (name == "float32") return expect('f', 4, Dtype::float32);
    if (name == "float64") return expect('f', 8, Dtype::float64);
    if (name == "float16") return expect('f', 2, Dtype::float16);
    if (name == "bfloat16") return expect('i', 2, Dtype::bfloat16);
    if (name == "uint8") return expect('u', 1, Dtype::uint8);
    throw InvalidArgument("dtype: expected a float or uint8 type, got '" + name + "'");
}

// images: [n, C, H, W], or [n, H, W, C] when channels_last; C-contiguous either way.
inline mixing::Layout layout_of(const py::array& images, bool channels_last, const char* name) {
    require(images.ndim() == 4 && (images.flags() & py::array::c_style) != 0,
            std::string(name) + ": expected a contiguous array of 4 dimensions");
    mixing::Layout layout;
    layout.channels = images.shape(channels_last ? 3 : 1);
    layout.height = images.shape(channels_last ? 1 : 2);
    layout.width = images.shape(channels_last ? 2 : 3);
    layout.image = layout.channels * layout.height * layout.width;
    layout.channel = channels_last ? 1 : layout.height * layout.width;
    layout.pixel = channels_last ? layout.channels : 1;
    layout.row = layout.width * layout.pixel;
    return layout;
}

// Images of one kind: read, and mixed into.
struct ImageArrays {
    Dtype dtype;
    mixing::Layout layout;
    std::int64_t inputs, outputs;

    ImageArrays(const py::array& images, const py::array& mixed, const std::string& name,
                bool channels_last)
        : dtype(dtype_of(name, images)),
          layout(layout_of(images, channels_last, "images")),
          inputs(images.shape(0)),
          outputs(mixed.shape(0)) {
        dtype_of(name, mixed);
        const auto out = layout_of(mixed, channels_last, "mixed");
        require(out.channels == layout.channels && out.height == layout.height &&
                    out.width == layout.width,
                "mixed: expected images of the inputs' size");
    }
};

// Images and targets that are mixed as soon as their plan is there, in the call that makes it.
class PlannedBatch {
  public:
    // What Python hands over: images, mixed, dtype, channels_last as in mix(); targets, float32
    // [n, K] or class indices int64 [n]; their mixture [n, K].
    using Given = std::tuple<py::array, py::array, std::string, bool, py::array, Array<float>>;

    explicit PlannedBatch(Given given)
        : images_(std::get<0>(given), std::get<1>(given), std::get<2>(given), std::get<3>(given)),
          from_(std::get<0>(given).data()),
          to_(std::get<1>(given).mutable_data()) {
        const auto soft = output<float, 2>(std::get<5>(given), "soft");
        soft_ = soft.data;
        classes_ = soft.shape[1];
        require_shape<2>(soft.shape, {images_.inputs, classes_}, "soft");
        const py::array& targets = std::get<4>(given);
        if (py::isinstance<Array<float>>(targets)) {
            const auto rows =
                view<float, 2>(py::reinterpret_borrow<Array<float>>(targets), "targets");
            require_shape<2>(rows.shape, {images_.inputs, classes_}, "targets");
            rows_ = rows.data;
            return;
        }
        require(py::isinstance<Array<std::int64_t>>(targets),
                "targets: expected a contiguous float32 or int64 array");
        const auto indices =
            view<std::int64_t, 1>(py::reinterpret_borrow<Array<std::int64_t>>(targets), "targets");
        require_shape<1>(indices.shape, {images_.inputs}, "targets");
        require(classes_ >= 1 && all_within(indices.data, images_.inputs, 0, classes_ - 1),
                "targets: expected values in 0.." + std::to_string(classes_ - 1));
        indices_ = indices.data;
    }

    // The plan is for as many outputs as inputs, of images of this size.
    void require_fit(std::int64_t count, std::int64_t height, std::int64_t width) const {
        require(images_.inputs == count && images_.outputs == count &&
                    images_.layout.height == height && images_.layout.width == width,
                "images: expected one of its size per saliency map, and as many mixed ones");
    }

    // By a plan whose entries are in range.
    void mix(const mixing::Plan& plan, int threads) const {
        mixing::mix(plan, images_.dtype, images_.layout, from_, to_, threads);
        if (rows_) {
            mixing::mix_targets(plan, images_.inputs, classes_, rows_, soft_);
        } else {
            mixing::mix_classes(plan, images_.inputs, classes_, indices_, soft_);
        }
    }

  private:
    ImageArrays images_;
    const void* from_;
    void* to_;
    std::int64_t classes_ = 0;
    const float* rows_ = nullptr;
    const std::int64_t* indices_ = nullptr;
    float* soft_ = nullptr;
};

}  // namespace comix::bindings
