#include "cuda/bindings/register.hpp"

#include "cuda/bindings/device.hpp"
#include "cuda/mixing/mixing.hpp"

namespace comix::cuda::bindings {

namespace {

namespace py = pybind11;
using mixing::Layout;
using mixing::Plan;

// Contiguous, either [C, H, W] or, channels last, [H, W, C].
Layout layout_of(std::int64_t channels, std::int64_t height, std::int64_t width,
                 bool channels_last) {
    require_sizes(channels >= 1 && height >= 1 && width >= 1, "at least one pixel");
    Layout layout;
    layout.channels = channels;
    layout.height = height;
    layout.width = width;
    layout.image = channels * height * width;
    layout.channel = channels_last ? 1 : height * width;
    layout.pixel = channels_last ? channels : 1;
    layout.row = width * layout.pixel;
    return layout;
}

Plan plan_of(Address source, Address block, Address weight, std::int64_t outputs,
             std::int64_t grid_height, std::int64_t grid_width) {
    require_sizes(outputs >= 0 && grid_height >= 1 && grid_width >= 1, "at least one block");
    const std::int64_t entries = outputs * grid_height * grid_width * 2;
    return {outputs,
            grid_height,
            grid_width,
            device_memory<const std::int64_t>(source, entries, "source"),
            device_memory<const std::int64_t>(block, entries, "block"),
            device_memory<const float>(weight, entries, "weight")};
}

void mix(Address source, Address block, Address weight, std::int64_t outputs,
         std::int64_t grid_height, std::int64_t grid_width, Address images, std::int64_t inputs,
         std::int64_t channels, std::int64_t height, std::int64_t width, Address mixed,
         const std::string& dtype, bool channels_last, int device, Address stream) {
    const Plan plan = plan_of(source, block, weight, outputs, grid_height, grid_width);
    const Layout layout = layout_of(channels, height, width, channels_last);
    const Type type = type_of(dtype);
    require_sizes(inputs >= 1 || outputs == 0, "at least one input");
    const void* from = device_memory(images, inputs * layout.image, type.bytes, "images");
    void* to = device_memory(mixed, outputs * layout.image, type.bytes, "mixed");
    const py::gil_scoped_release release;
    mixing::mix(stream_of(device, stream), plan, inputs, type.dtype, layout, from, to);
}

void mix_transpose(Address source, Address block, Address weight, std::int64_t outputs,
                   std::int64_t grid_height, std::int64_t grid_width, Address order, Address starts,
                   Address mixed, Address images, std::int64_t inputs, std::int64_t channels,
                   std::int64_t height, std::int64_t width, const std::string& dtype,
                   bool channels_last, int device, Address stream) {
    const Plan plan = plan_of(source, block, weight, outputs, grid_height, grid_width);
    const Layout layout = layout_of(channels, height, width, channels_last);
    const Type type = type_of(dtype);
    require_sizes(inputs >= 0, "a number of inputs");
    const std::int64_t blocks = grid_height * grid_width;
    const mixing::Uses uses{
        device_memory<const std::int64_t>(order, outputs * blocks * 2, "order"),
        device_memory<const std::int64_t>(starts, inputs * blocks + 1, "starts")};
    const void* from = device_memory(mixed, outputs * layout.image, type.bytes, "mixed");
    void* to = device_memory(images, inputs * layout.image, type.bytes, "images");
    const py::gil_scoped_release release;
    mixing::mix_transpose(stream_of(device, stream), plan, uses, inputs, type.dtype, layout, from,
                          to);
}

}  // namespace

void register_mixing(py::module_& module) {
    using py::arg;
    module.def("mix", &mix, py::kw_only(), arg("source"), arg("block"), arg("weight"),
               arg("outputs"), arg("grid_height"), arg("grid_width"), arg("images"), arg("inputs"),
               arg("channels"), arg("height"), arg("width"), arg("mixed"), arg("dtype"),
               arg("channels_last"), arg("device"), arg("stream"));
    module.def("mix_transpose", &mix_transpose, py::kw_only(), arg("source"), arg("block"),
               arg("weight"), arg("outputs"), arg("grid_height"), arg("grid_width"), arg("order"),
               arg("starts"), arg("mixed"), arg("images"), arg("inputs"), arg("channels"),
               arg("height"), arg("width"), arg("dtype"), arg("channels_last"), arg("device"),
               arg("stream"));
}

}  // namespace comix::cuda::bindings
