// Finds races of kernels on the emulated device: two accesses to the same bytes of shared or global
// memory by two threads of a launch, at least one of them a write and not both atomic, that no
// barrier orders - whatever order the fibers really ran in.
//
// What orders accesses is what orders them on a device with independent thread scheduling: one
// thread's own order; __syncthreads() among the threads of a block; __syncwarp() among those of a
// warp; a launch against all before it. Not the lockstep of a warp, not the order of blocks, and
// not atomics, which are relaxed: an atomic operation on one number says nothing about others.
//
// Since fibers run block by block and warp by warp, and wait at barriers only, a few numbers tell
// exactly which of earlier accesses a barrier orders, and two accesses of a kind stand for all; so
// every race among the accesses that a run makes is found. It cannot find those of a way that the
// run does not take.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <unordered_map>
#include <vector>

#include "watch.hpp"

namespace comix::cuda {

extern unsigned char comix_arena[];

}  // namespace comix::cuda

namespace comix_emulated {

namespace {

using comix::cuda::comix_arena;

// Who accessed memory, and where in the code.
struct Access {
    std::uint64_t stretch : 32, lane : 5, place : 27;  // stretch 0: nobody
};

// Who runs. A stretch is what the threads of one warp do between two barriers of any kind;
// stretches are numbered in the order they run, over all launches. A phase ends at __syncthreads().
struct Moment {
    std::uint32_t launch = 1, block = 1, phase = 1, warp = 1;  // their first stretches
    std::uint32_t stretch = 1;
    std::uint32_t oldest = 1;     // that counts, for the memory that is accessed
    unsigned lane = 0;            // the thread, within its warp
    const char* stack = nullptr;  // the thread's own memory
    bool inside = false;          // a kernel, not the host's code around it
};

Moment now;

// Made by another thread of this launch, with no barrier since that both waited at. (What another
// block made of shared memory is over: that was other memory.)
bool is_unordered(Access access) {
    if (access.stretch < now.oldest) return false;
    if (access.stretch < now.block) return true;  // another block's
    if (access.stretch < now.phase) return false;
    if (access.stretch < now.warp) return true;  // another warp's
    return access.stretch == now.stretch && access.lane != now.lane;
}

// Stands for all accesses of a kind: whoever is unordered with any of them is unordered with one of
// these two. `other` is of another thread than `last` and was unordered with it. Once two blocks
// were there, everybody later is unordered with the first; else the last one's phase decides, in it
// its stretch, and two of different warps, or of different threads of that stretch, meet everybody.
struct Seen {
    Access last, other;

    void add(Access access) {
        const bool other_block = other.stretch >= now.oldest && other.stretch < now.block;
        if (!other_block) {
            if (is_unordered(last))
                other = last;
            else if (!is_unordered(other))
                other = {};
        }
        last = access;
    }
    const Access* unordered() const {
        return is_unordered(last) ? &last : is_unordered(other) ? &other : nullptr;
    }
};

struct alignas(64) Cell {  // a line of the cache
    Seen seen[kKinds];
};

// Cells of 4096 bytes, of 8 each to begin with, then of as few as one access needed.
struct Page {
    static constexpr unsigned kBits = 12;

    unsigned shift = 3;
    std::vector<Cell> cells = std::vector<Cell>((1U << kBits) >> shift);

    void split(unsigned smaller) {
        std::vector<Cell> parts((1U << kBits) >> smaller);
        for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = cells[i >> (shift - smaller)];
        cells.swap(parts);
        shift = smaller;
    }
};

constexpr std::size_t kMostPages = 1 << 14, kCached = 1 << 10;

std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages;
std::array<std::pair<std::uintptr_t, Page*>, kCached> cached;

struct Warp {
    std::uint32_t begin;  // its first stretch
    unsigned block, first_thread;
};
std::vector<Warp> warps;  // of this launch, as they ran
std::size_t shared_bytes = 0;

// Two accesses that nothing orders, or one (`before` is nobody's) beyond shared memory.
struct Fault {
    Access before, access;
    Kind kind_before, kind;
    std::uintptr_t address;
    std::size_t bytes;
};
constexpr std::size_t kMostFaults = 20;
std::vector<Fault> faults;                                // of this launch
std::set<std::pair<std::uint64_t, std::uint64_t>> known;  // their places

Page& page_at(std::uintptr_t number) {
    auto& entry = cached[number % kCached];
    if (!entry.second || entry.first != number) {
        auto& page = pages[number];
        if (!page) page = std::make_unique<Page>();
        entry = {number, page.get()};
    }
    return *entry.second;
}

// --- reports ------------------------------------------------------------------------------------

// This program or library, where it is loaded.
const Dl_info& module() {
    static const Dl_info info = [] {
        Dl_info own{};
        dladdr(&now, &own);
        return own;
    }();
    return info;
}

std::uint64_t offset_of(const void* place) {
    static const auto base = reinterpret_cast<std::uintptr_t>(module().dli_fbase);
    return reinterpret_cast<std::uintptr_t>(place) - base;
}

// A place in the code as addr2line's -i tells it, the innermost line first: "file:line" of kernels.
std::string short_line(std::string line) {
    const std::size_t folder = line.rfind("/cuda/");
    if (folder != std::string::npos) line = line.substr(folder + 1);
    line = line.substr(0, line.find_first_of(" \n"));
    for (const char* const unclear : {"?", "cuda/base/team.hpp", "emulated_cuda/cuda_runtime.h"})
        if (line.find(unclear) != std::string::npos) return "";
    return line;
}

std::map<std::uint64_t, std::string> lines;  // by offset, of all launches

// Asks for all places at once, since addr2line reads the whole program first.
void find_lines(const std::set<std::uint64_t>& offsets) {
    std::ostringstream command;
    command << "addr2line -a -i -e '" << module().dli_fname << "'" << std::hex;
    for (const std::uint64_t offset : offsets) {
        lines[offset];
        command << " 0x" << offset - 1;  // of the call, not behind it
    }
    FILE* const output = offsets.empty() ? nullptr : popen((command.str() + " 2>&1").c_str(), "r");
    if (!output) return;
    std::string* chain = nullptr;
    char line[4096];
    while (std::fgets(line, sizeof line, output)) {
        if (line[0] == '0') {
            chain = &lines[std::strtoull(line, nullptr, 16) + 1];
        } else if (const std::string text = short_line(line); chain && !text.empty()) {
            if (chain->size() < text.size() || chain->substr(chain->size() - text.size()) != text)
                *chain += (chain->empty() ? "" : " < ") + text;
        }
    }
    pclose(output);
}

std::string line_of(std::uint64_t offset) {
    if (!lines[offset].empty()) return lines[offset];
    std::ostringstream text;
    text << "+0x" << std::hex << offset;
    return text.str();
}

const char* verb(Kind kind) {
    switch (kind) {
        case Kind::reads:
            return "reads";
        case Kind::reads_atomically:
            return "reads atomically";
        case Kind::updates_atomically:
            return "updates atomically";
        case Kind::writes:
            return "writes";
    }
    return "";
}

std::string who(Access access, Kind kind) {
    const auto after = [](std::uint32_t stretch, const Warp& warp) { return stretch < warp.begin; };
    const auto stretch = static_cast<std::uint32_t>(access.stretch);
    const Warp& warp = *std::prev(std::upper_bound(warps.begin(), warps.end(), stretch, after));
    return "block " + std::to_string(warp.block) + " thread " +
           std::to_string(warp.first_thread + access.lane) + " " + verb(kind) + " at " +
           line_of(access.place);
}

std::string memory_at(std::uintptr_t address, std::size_t bytes) {
    const std::uintptr_t place = address - reinterpret_cast<std::uintptr_t>(comix_arena);
    const std::string count = std::to_string(bytes) + " bytes of ";
    if (place >= kArena) return count + "global memory";
    return count + "shared memory at " + std::to_string(place) + " of " +
           std::to_string(shared_bytes);
}

// One per pair of places.
void report(const Fault& fault) {
    const bool is_new = known.emplace(fault.access.place, fault.before.place).second;
    if (is_new && faults.size() < kMostFaults) faults.push_back(fault);
}

// --- accesses -----------------------------------------------------------------------------------

constexpr bool conflict(Kind a, Kind b) {
    if (a == Kind::writes || b == Kind::writes) return true;
    return (a == Kind::reads && b == Kind::updates_atomically) ||
           (a == Kind::updates_atomically && b == Kind::reads);
}

template <Kind kind>
void visit(Cell& cell, Access access, std::uintptr_t address, std::size_t bytes) {
    const auto look = [&](Kind others) {
        if (!conflict(kind, others)) return;
        if (const Access* const before = cell.seen[static_cast<int>(others)].unordered())
            report({*before, access, others, kind, address, bytes});
    };
    Seen& own = cell.seen[static_cast<int>(kind)];
    // Again, and nobody else ran since.
    if (own.last.stretch == access.stretch && own.last.lane == access.lane) return;
    look(Kind::reads);
    look(Kind::reads_atomically);
    look(Kind::updates_atomically);
    look(Kind::writes);
    own.add(access);
}

template <Kind kind>
void visit_all(std::uintptr_t address, std::size_t bytes, Access access) {
    const std::uintptr_t in_arena = address - reinterpret_cast<std::uintptr_t>(comix_arena);
    now.oldest = in_arena < kArena ? now.block : now.launch;
    if (in_arena < kArena && in_arena + bytes > shared_bytes)
        report({{}, access, kind, kind, address, bytes});
    while (bytes > 0) {
        Page& page = page_at(address >> Page::kBits);
        const std::size_t in_page = address % (1U << Page::kBits);
        const std::size_t count = std::min(bytes, (std::size_t{1} << Page::kBits) - in_page);
        while ((in_page | count) % (std::size_t{1} << page.shift) != 0) page.split(page.shift - 1);
        for (std::size_t i = in_page >> page.shift; i < (in_page + count) >> page.shift; ++i)
            visit<kind>(page.cells[i], access, address, count);
        address += count;
        bytes -= count;
    }
}

template <Kind kind>
void access(const void* target, std::size_t bytes, const void* caller) {
    if (!now.inside) return;
    const auto address = reinterpret_cast<std::uintptr_t>(target);
    if (address - reinterpret_cast<std::uintptr_t>(now.stack) < kStack) return;
    now.inside = false;  // the linker may take a watched copy of what is used here
    visit_all<kind>(address, bytes, {now.stretch, now.lane, offset_of(caller)});
    now.inside = true;
}

}  // namespace

void watch_begin_launch(Kernel, unsigned, unsigned, std::size_t shared) {
    if (pages.size() > kMostPages || now.stretch > 1U << 31) {
        pages.clear();
        cached = {};
        if (now.stretch > 1U << 31) now = {};
    }
    now.launch = now.stretch + 1;
    shared_bytes = shared;
    warps.clear();
    known.clear();
    faults.clear();
}

void watch_begin_block() {
    now.block = now.stretch + 1;
}

void watch_begin_phase() {
    now.phase = now.stretch + 1;
}

void watch_begin_warp(unsigned first_thread) {
    now.warp = now.stretch + 1;
    warps.push_back({now.warp, blockIdx.x, first_thread});
}

void watch_begin_stretch() {
    ++now.stretch;
}

void watch_enter(unsigned thread, const char* stack) {
    now.lane = thread % 32;
    now.stack = stack;
    now.inside = true;
}

void watch_barrier(const void*) {}

void watch_leave() {
    now.inside = false;
}

std::string watch_end_launch() {
    std::set<std::uint64_t> offsets;
    for (const Fault& fault : faults)
        for (const Access& access : {fault.before, fault.access})
            if (access.stretch > 0 && lines.count(access.place) == 0) offsets.insert(access.place);
    find_lines(offsets);
    std::string text;
    for (const Fault& fault : faults) {
        const std::string memory = memory_at(fault.address, fault.bytes);
        const std::string last = "\n    " + who(fault.access, fault.kind);
        text += fault.before.stretch == 0 ? "\n  beyond shared memory: " + memory + ":" + last
                                          : "\n  race: " + memory + ":\n    " +
                                                who(fault.before, fault.kind_before) + last;
    }
    return text;
}

void watch_access(Kind kind, const void* target, std::size_t bytes, const void* caller) {
    switch (kind) {
        case Kind::reads:
            return access<Kind::reads>(target, bytes, caller);
        case Kind::reads_atomically:
            return access<Kind::reads_atomically>(target, bytes, caller);
        case Kind::updates_atomically:
            return access<Kind::updates_atomically>(target, bytes, caller);
        case Kind::writes:
            return access<Kind::writes>(target, bytes, caller);
    }
}

}  // namespace comix_emulated
