// Option names as users write them.
#pragma once

#include <string>

#include "base/errors.hpp"
#include "comixup/comixup.hpp"
#include "gridcut/grid_cut.hpp"

namespace comix::bindings {

inline gridcut::Method cut_method(const std::string& name) {
    if (name == "expansion") return gridcut::Method::expansion;
    if (name == "swap") return gridcut::Method::swap;
    if (name == "exact") return gridcut::Method::exact;
    if (name == "auto") return gridcut::Method::automatic;
    throw InvalidArgument("method: expected one of 'expansion', 'swap', 'exact', 'auto', got '" +
                          name + "'");
}

inline comixup::Threshold threshold_of(const std::string& name) {
    using comixup::Threshold;
    if (name == "hard") return Threshold::hard;
    if (name == "soft") return Threshold::soft;
    if (name == "hard_official") return Threshold::hard_official;
    throw InvalidArgument("threshold: expected one of 'hard', 'soft', 'hard_official', got '" +
                          name + "'");
}

}  // namespace comix::bindings
