#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "mixing/mixing.hpp"

namespace comix::bindings {

namespace {

using mixing::Layout;

Dtype dtype_of(const std::string& name, const py::array& array) {
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
Layout layout_of(const py::array& images, bool channels_last, const char* name) {
    require(images.ndim() == 4 && (images.flags() & py::array::c_style) != 0,
            std::string(name) + ": expected a contiguous array of 4 dimensions");
    Layout layout;
    layout.channels = images.shape(channels_last ? 3 : 1);
    layout.height = images.shape(channels_last ? 1 : 2);
    layout.width = images.shape(channels_last ? 2 : 3);
    layout.image = layout.channels * layout.height * layout.width;
    layout.channel = channels_last ? 1 : layout.height * layout.width;
    layout.pixel = channels_last ? layout.channels : 1;
    layout.row = layout.width * layout.pixel;
    return layout;
}

struct Call {
    mixing::Plan plan;
    Dtype dtype;
    Layout layout;
};

// Checks everything that the two kernels rely on. `images` are the inputs, `mixed` the outputs.
Call prepare(const Array<std::int64_t>& source, const Array<std::int64_t>& block,
             const Array<float>& weight, const py::array& images, const py::array& mixed,
             const std::string& dtype, bool channels_last) {
    const auto source_view = view<std::int64_t, 4>(source, "source");
    const auto block_view = view<std::int64_t, 4>(block, "block");
    const auto weight_view = view<float, 4>(weight, "weight");
    require(source_view.shape[3] == 2, "source: expected two entries per block");
    require_shape<4>(block_view.shape, source_view.shape, "block");
    require_shape<4>(weight_view.shape, source_view.shape, "weight");
    Call call{{source_view.shape[0], source_view.shape[1], source_view.shape[2], source_view.data,
               block_view.data, weight_view.data},
              dtype_of(dtype, images),
              layout_of(images, channels_last, "images")};
    dtype_of(dtype, mixed);
    const Layout out = layout_of(mixed, channels_last, "mixed");
    require(out.channels == call.layout.channels && out.height == call.layout.height &&
                out.width == call.layout.width && mixed.shape(0) == call.plan.outputs,
            "mixed: expected one image of the inputs' size per output of the plan");
    require(call.plan.height >= 1 && call.plan.height <= out.height && call.plan.width >= 1 &&
                call.plan.width <= out.width,
            "plan: expected at most one block per pixel of the images");
    call.plan.check(images.shape(0));
    return call;
}

void mix(const Array<std::int64_t>& source, const Array<std::int64_t>& block,
         const Array<float>& weight, const py::array& images, py::array mixed,
         const std::string& dtype, bool channels_last, int threads) {
    const Call call = prepare(source, block, weight, images, mixed, dtype, channels_last);
    const void* from = images.data();
    void* to = mixed.mutable_data();
    const py::gil_scoped_release release;  // only views from here on
    mixing::mix(call.plan, call.dtype, call.layout, from, to, threads);
}

void mix_transpose(const Array<std::int64_t>& source, const Array<std::int64_t>& block,
                   const Array<float>& weight, const py::array& mixed, py::array images,
                   const std::string& dtype, int threads) {
    const Call call = prepare(source, block, weight, images, mixed, dtype, false);
    const void* from = mixed.data();
    void* to = images.mutable_data();
    const py::gil_scoped_release release;  // only views from here on
    mixing::mix_transpose(call.plan, call.dtype, call.layout, from, to, threads);
}

}  // namespace

void register_mixing(py::module_& module) {
    using py::arg;
    module.def("mix", &mix, arg("source").noconvert(), arg("block").noconvert(),
               arg("weight").noconvert(), arg("images").noconvert(), arg("mixed").noconvert(),
               arg("dtype"), arg("channels_last"), arg("threads"));
    module.def("mix_transpose", &mix_transpose, arg("source").noconvert(), arg("block").noconvert(),
               arg("weight").noconvert(), arg("mixed").noconvert(), arg("images").noconvert(),
               arg("dtype"), arg("threads"));
}

}  // namespace comix::bindings
