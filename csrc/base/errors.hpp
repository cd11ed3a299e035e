// Errors of the core. Bindings turn InvalidArgument into ValueError, anything else into
// RuntimeError.
#pragma once

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

}  // namespace comix
