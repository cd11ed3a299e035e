#include "bindings/image_arrays.hpp"
#include "bindings/register.hpp"

namespace comix::bindings {

namespace {

struct Call {
    mixing::Plan plan;
    ImageArrays arrays;
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
    const Call call{{source_view.shape[0], source_view.shape[1], source_view.shape[2],
                     source_view.data, block_view.data, weight_view.data},
                    ImageArrays(images, mixed, dtype, channels_last)};
    const auto& layout = call.arrays.layout;
    require(call.arrays.outputs == call.plan.outputs,
            "mixed: expected one image per output of the plan");
    require(call.plan.height >= 1 && call.plan.height <= layout.height && call.plan.width >= 1 &&
                call.plan.width <= layout.width,
            "plan: expected at most one block per pixel of the images");
    call.plan.check(call.arrays.inputs);
    return call;
}

void mix(const Array<std::int64_t>& source, const Array<std::int64_t>& block,
         const Array<float>& weight, const py::array& images, py::array mixed,
         const std::string& dtype, bool channels_last, int threads) {
    const Call call = prepare(source, block, weight, images, mixed, dtype, channels_last);
    const void* from = images.data();
    void* to = mixed.mutable_data();
    const py::gil_scoped_release release;  // only views from here on
    mixing::mix(call.plan, call.arrays.dtype, call.arrays.layout, from, to, threads);
}

void mix_transpose(const Array<std::int64_t>& source, const Array<std::int64_t>& block,
                   const Array<float>& weight, const py::array& mixed, py::array images,
                   const std::string& dtype, int threads) {
    const Call call = prepare(source, block, weight, images, mixed, dtype, false);
    const void* from = mixed.data();
    void* to = images.mutable_data();
    const py::gil_scoped_release release;  // only views from here on
    mixing::mix_transpose(call.plan, call.arrays.dtype, call.arrays.layout, from, to, threads);
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
