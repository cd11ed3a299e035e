// Errors of the core. Bindings turn InvalidArgument into ValueError, anything else into
// RuntimeError.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace comix {

// An argument the caller can correct. The text names it, says what was expected and what came.
class InvalidArgument : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

inline void require(bool condition, const std::string& message) {
    if (!condition) throw InvalidArgument(message);
}
// A fixed text costs nothing while all is well.
inline void require(bool condition, const char* message) {
    if (!condition) throw InvalidArgument(message);
}

// Whether all values are finite: 0 * x is 0 for finite x and NaN for the rest.
inline bool all_finite(const double* values, std::int64_t count) {
    double sum = 0.0;
    for (std::int64_t k = 0; k < count; ++k) sum += 0.0 * values[k];
    return sum == 0.0;
}

}  // namespace comix
