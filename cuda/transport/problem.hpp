// A transport problem on the device (csrc/transport/transport.hpp), and where a plan is worked out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/base/divisor.hpp"
#include "cuda/base/team.hpp"

namespace comix::cuda::transport {

// The grid that all problems of a call share.
struct Grid {
    int height, width;
    Divisor columns;  // by width
    double eps;

    Grid(int gh, int gw, double price) : height(gh), width(gw), columns(gw), eps(price) {}

    COMIX_HD int blocks() const { return height * width; }
    COMIX_HD int side() const { return height < width ? width : height; }
    COMIX_HD double normaliser() const {
        const double most = side() - 1;
        return most > 0 ? most * most : 1.0;
    }
    // Price of moving by one block.
    COMIX_HD double unit() const { return eps / normaliser(); }
    COMIX_HD int furthest() const {  // squared
        return (height - 1) * (height - 1) + (width - 1) * (width - 1);
    }
};

struct Place {
    int row, column;
};
COMIX_HD inline Place place_of(const Grid& grid, int block) {
    const int row = grid.columns.quotient(block);
    return {row, block - row * grid.width};
}
// Index of the move between two places in tables [gh, gw] by rows and columns moved.
COMIX_HD inline int move_between(const Grid& grid, Place a, Place b) {
    const int rows = a.row < b.row ? b.row - a.row : a.row - b.row;
    const int columns = a.column < b.column ? b.column - a.column : a.column - b.column;
    return rows * grid.width + columns;
}

// One problem's maps [gh, gw], T: float or double. What the CPU refuses (saliency below 0, infinite
// or NaN) counts as 0; a mask of NaN hides.
template <class T>
struct Maps {
    const T* saliency;
    const T* mask;

    COMIX_HD double salient(int block) const {
        const auto value = static_cast<double>(saliency[block]);
        return value >= 0 && value <= 1.7976931348623157e308 ? value : 0.0;
    }
    COMIX_HD bool shown(int position) const { return mask[position] > 0; }
};

// Arrays of a plan in the making: in the team's shared memory, or in global memory where they do
// not fit there. A type each, so that the compiler knows which.
template <class Team>
class SharedMemory {
  public:
    COMIX_HD explicit SharedMemory(Team& team) : team_(team) {}
    template <class T>
    COMIX_HD T* take(std::size_t count) {
        return team_.template shared<T>(count);
    }

  private:
    Team& team_;
};
class GlobalMemory {
  public:
    COMIX_HD explicit GlobalMemory(void* begin) : begin_(static_cast<unsigned char*>(begin)) {}
    template <class T>
    COMIX_HD T* take(std::size_t count) {
        used_.add<T>(count);
        return reinterpret_cast<T*>(begin_ + used_.total() - count * sizeof(T));
    }

  private:
    unsigned char* begin_;
    SharedBytes used_;
};

}  // namespace comix::cuda::transport
