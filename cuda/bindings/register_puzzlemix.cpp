#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "cuda/bindings/device.hpp"
#include "cuda/bindings/register.hpp"
#include "cuda/puzzlemix/puzzlemix.hpp"

namespace comix::cuda::bindings {

namespace {

namespace py = pybind11;
using puzzlemix::Terms;

void check_grid(std::int64_t height, std::int64_t width, std::int64_t grid_height,
                std::int64_t grid_width) {
    small(height, "height");
    small(width, "width");
    require(grid_height >= 1 && grid_height <= height && grid_width >= 1 && grid_width <= width,
            "grid: expected at least one block, and at most one per pixel");
}

void pool_saliency(Address saliency, const std::string& dtype, std::int64_t batch,
                   std::int64_t height, std::int64_t width, std::int64_t grid_height,
                   std::int64_t grid_width, Address scratch, Address pooled, int device,
                   Address stream) {
    require_sizes(batch >= 0, "a number of images");
    check_grid(height, width, grid_height, grid_width);
    const Type type = type_of(dtype);
    require(type.dtype != Dtype::uint8, "dtype: expected a floating type, got 'uint8'");
    const void* maps = device_memory(saliency, batch * height * width, type.bytes, "saliency");
    void* memory = device_memory(scratch, batch, 8, "scratch");
    void* result = device_memory(pooled, batch * grid_height * grid_width,
                                 type.dtype == Dtype::float64 ? 8 : 4, "pooled");
    const py::gil_scoped_release release;
    puzzlemix::pool_saliency(stream_of(device, stream), type.dtype, maps, batch, height, width,
                             grid_height, grid_width, memory, result);
}

// Sizes alone: what the scratch memory depends on.
Terms sizes(std::int64_t batch, std::int64_t channels, std::int64_t height, std::int64_t width,
            std::int64_t grid_height, std::int64_t grid_width, std::int64_t n_labels,
            std::int64_t neigh_size, double gamma) {
    require_sizes(batch >= 1 && channels >= 1 && neigh_size >= 1, "at least one image and channel");
    check_grid(height, width, grid_height, grid_width);
    require(n_labels >= 2, "n_labels: expected at least 2");
    Terms terms;
    terms.batch = batch;
    terms.channels = channels;
    terms.height = height;
    terms.width = width;
    terms.grid_height = grid_height;
    terms.grid_width = grid_width;
    terms.labels = n_labels;
    terms.neighbour_size = neigh_size;
    terms.gamma = gamma;
    return terms;
}

std::int64_t puzzlemix_energy_scratch(std::int64_t batch, std::int64_t channels,
                                      std::int64_t height, std::int64_t width,
                                      std::int64_t grid_height, std::int64_t grid_width,
                                      std::int64_t n_labels, std::int64_t neigh_size,
                                      double gamma) {
    return puzzlemix::energy_scratch_bytes(sizes(batch, channels, height, width, grid_height,
                                                 grid_width, n_labels, neigh_size, gamma));
}

void puzzlemix_energy(Address images, const std::string& dtype, bool channels_last,
                      std::int64_t batch, std::int64_t channels, std::int64_t height,
                      std::int64_t width, std::int64_t grid_height, std::int64_t grid_width,
                      std::int64_t n_labels, Address saliency, const std::string& saliency_dtype,
                      Address index, Address lam, double uniform_lam, Address deviation,
                      const std::vector<double>& uniform_deviation, double beta, double gamma,
                      double eta, double slack, std::int64_t neigh_size, Address scratch,
                      Address unary, Address pairwise, Address weight_v, Address weight_h,
                      Address shown, int device, Address stream) {
    Terms terms =
        sizes(batch, channels, height, width, grid_height, grid_width, n_labels, neigh_size, gamma);
    const std::int64_t blocks = grid_height * grid_width;
    terms.image = channels * height * width;
    terms.channel = channels_last ? 1 : height * width;
    terms.pixel = channels_last ? channels : 1;
    terms.row = width * terms.pixel;
    const Dtype precision = type_of(saliency_dtype).dtype;
    require(precision == Dtype::float32 || precision == Dtype::float64,
            "saliency_dtype: expected 'float32' or 'float64', got '" + saliency_dtype + "'");
    if (precision == Dtype::float64) {
        terms.saliency = device_memory<const double>(saliency, batch * blocks, "saliency");
    } else {
        terms.single_saliency = device_memory<const float>(saliency, batch * blocks, "saliency");
    }
    terms.index = device_memory<const std::int64_t>(index, batch, "index");
    terms.lam = device_memory<const double>(lam, 0, "lam");
    terms.uniform_lam = uniform_lam;
    terms.deviation = device_memory<const double>(deviation, 0, "deviation");
    if (!terms.deviation) {
        require(channels <= puzzlemix::kInlineChannels &&
                    static_cast<std::int64_t>(uniform_deviation.size()) == channels,
                "uniform_deviation: expected one number per channel, and at most " +
                    std::to_string(puzzlemix::kInlineChannels));
        std::copy(uniform_deviation.begin(), uniform_deviation.end(), terms.inline_deviation);
    }
    terms.beta = beta;
    terms.eta = eta;
    terms.slack = slack;
    const Type type = type_of(dtype);
    const void* from = device_memory(images, batch * terms.image, type.bytes, "images");
    void* memory = device_memory(scratch, batch, 8, "scratch");
    const puzzlemix::Result result{
        device_memory<double>(unary, batch * blocks * n_labels, "unary"),
        device_memory<double>(pairwise, n_labels * n_labels, "pairwise"),
        device_memory<double>(weight_v, batch * (grid_height - 1) * grid_width, "weight_v"),
        device_memory<double>(weight_h, batch * grid_height * (grid_width - 1), "weight_h"),
        device_memory<float>(shown, n_labels, "shown")};
    const py::gil_scoped_release release;
    puzzlemix::energy(stream_of(device, stream), terms, type.dtype, from, memory, result);
}

}  // namespace

void register_puzzlemix(py::module_& module) {
    using py::arg;
    module.def("pool_saliency", &pool_saliency, py::kw_only(), arg("saliency"), arg("dtype"),
               arg("batch"), arg("height"), arg("width"), arg("grid_height"), arg("grid_width"),
               arg("scratch"), arg("pooled"), arg("device"), arg("stream"));
    module.def("pool_saliency_scratch", &puzzlemix::pool_scratch_bytes, py::kw_only(), arg("batch"),
               arg("width"), arg("grid_height"), arg("grid_width"));
    module.def("puzzlemix_energy", &puzzlemix_energy, py::kw_only(), arg("images"), arg("dtype"),
               arg("channels_last"), arg("batch"), arg("channels"), arg("height"), arg("width"),
               arg("grid_height"), arg("grid_width"), arg("n_labels"), arg("saliency"),
               arg("saliency_dtype"), arg("index"), arg("lam"), arg("uniform_lam"),
               arg("deviation"), arg("uniform_deviation"), arg("beta"), arg("gamma"), arg("eta"),
               arg("slack"), arg("neigh_size"), arg("scratch"), arg("unary"), arg("pairwise"),
               arg("weight_v"), arg("weight_h"), arg("shown"), arg("device"), arg("stream"));
    module.def("puzzlemix_energy_scratch", &puzzlemix_energy_scratch, py::kw_only(), arg("batch"),
               arg("channels"), arg("height"), arg("width"), arg("grid_height"), arg("grid_width"),
               arg("n_labels"), arg("neigh_size"), arg("gamma"));
}

}  // namespace comix::cuda::bindings
