// Counts what kernels do on the emulated device, one line of JSON per launch, appended to the file
// that COMIX_EMULATED_STEPS_FILE names. A kernel is its place in this module. Kernels are compiled
// with -fsanitize-coverage=trace-pc too, which calls a function at the begin of every piece of code
// without jumps.
//
// Threads that may run at once take as long as the longest of them: a stretch of a warp counts as
// its longest thread, number by number, a phase as its longest warp, a launch as its longest block.
// So the counts bound what a block does one after the other from above, but for threads of a warp
// that take different ways. How much of it overlaps - independent loads of a thread, above all -
// they do not say.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <unordered_set>

#include "watch.hpp"

namespace comix::cuda {

extern unsigned char comix_arena[];

}  // namespace comix::cuda

namespace comix_emulated {

namespace {

constexpr unsigned kSectorBits = 5;           // what a device moves at once: 32 bytes
constexpr std::size_t kParameters = 1 << 16;  // the stack of who launches holds a kernel's

enum Number {
    barriers,       // of the block
    waits,          // of a warp
    fetches,        // stretches with global memory that the block has not touched before
    local_access,   // to shared memory
    global_access,  // to global memory
    code,           // pieces of code without jumps
    kNumbers
};
constexpr const char* kNames[kNumbers] = {"barriers", "waits",  "fetches",
                                          "shared",   "global", "code"};

struct Count {
    std::array<std::int64_t, kNumbers> of{};

    void add(const Count& other) {
        for (int i = 0; i < kNumbers; ++i) of[i] += other.of[i];
    }
    void longest(const Count& other) {
        for (int i = 0; i < kNumbers; ++i) of[i] = std::max(of[i], other.of[i]);
    }
};

// A count, and what of it was done before the barriers at which places of the code (of the warps
// and the block with the most code).
struct Chain {
    Count whole;
    std::map<std::size_t, Count> before;

    void then(const Chain& other) {
        whole.add(other.whole);
        for (const auto& [place, count] : other.before) before[place].add(count);
    }
    void beside(const Chain& other) {
        if (other.whole.of[code] >= whole.of[code]) before = other.before;
        whole.longest(other.whole);
    }
};

struct Launch {
    Kernel kernel = nullptr;
    unsigned blocks = 0, threads = 0;
    std::size_t shared = 0;
    Chain longest;
    Count all_warps;
    std::unordered_set<std::uintptr_t> read, written;  // sectors
};

Launch counted;
Chain block, phase, warp;
Count stretch, thread;
std::unordered_set<std::uintptr_t> touched;  // by the block
bool in_block = false, in_phase = false, in_warp = false, in_stretch = false;
std::size_t barrier = 0;      // where the last thread waited; 0: it ended
const char* stack = nullptr;  // the thread's own memory
std::uintptr_t parameters = 0;
bool inside = false;  // a kernel, not the host's code around it

void end_stretch() {
    if (!in_stretch) return;
    warp.then({stretch, {{barrier, stretch}}});
    stretch = {};
    in_stretch = false;
}

void end_warp() {
    end_stretch();
    if (!in_warp) return;
    counted.all_warps.add(warp.whole);
    phase.beside(warp);
    warp = {};
    in_warp = false;
}

void end_phase() {
    end_warp();
    if (!in_phase) return;
    ++phase.whole.of[barriers];
    ++phase.before[barrier].of[barriers];
    block.then(phase);
    phase = {};
    in_phase = false;
}

void end_block() {
    end_phase();
    if (!in_block) return;
    counted.longest.beside(block);
    block = {};
    touched.clear();
    in_block = false;
}

std::size_t offset_of(const void* place) {
    static const std::size_t base = [] {
        Dl_info module{};
        dladdr(&counted, &module);
        return reinterpret_cast<std::size_t>(module.dli_fbase);
    }();
    return reinterpret_cast<std::size_t>(place) - base;
}

void print(std::FILE* file, const Count& count) {
    for (int i = 0; i < kNumbers; ++i)
        std::fprintf(file, "%s\"%s\": %lld", i ? ", " : "{", kNames[i],
                     static_cast<long long>(count.of[i]));
    std::fputs("}", file);
}

void print(std::FILE* file) {
    std::fprintf(file, "{\"kernel\": %zu, \"blocks\": %u, \"threads\": %u, \"shared\": %zu",
                 offset_of(reinterpret_cast<void*>(counted.kernel)), counted.blocks,
                 counted.threads, counted.shared);
    std::fprintf(file, ", \"bytes_read\": %zu, \"bytes_written\": %zu, \"warps\": ",
                 counted.read.size() << kSectorBits, counted.written.size() << kSectorBits);
    print(file, counted.all_warps);
    std::fputs(", \"longest\": ", file);
    print(file, counted.longest.whole);
    const char* separator = ", \"before\": {";
    for (const auto& [place, count] : counted.longest.before) {
        std::fprintf(file, "%s\"%zu\": ", separator, place);
        print(file, count);
        separator = ", ";
    }
    std::fputs("}}\n", file);
}

}  // namespace

void watch_begin_launch(Kernel kernel, unsigned blocks, unsigned threads, std::size_t shared) {
    parameters = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    counted = {};
    counted.kernel = kernel;
    counted.blocks = blocks;
    counted.threads = threads;
    counted.shared = shared;
}

void watch_begin_block() {
    end_block();
    in_block = true;
}

void watch_begin_phase() {
    end_phase();
    in_phase = true;
}

void watch_begin_warp(unsigned) {
    end_warp();
    in_warp = true;
}

void watch_begin_stretch() {
    if (in_stretch) ++stretch.of[waits];
    end_stretch();
    in_stretch = true;
}

void watch_enter(unsigned, const char* memory) {
    stack = memory;
    thread = {};
    barrier = 0;
    inside = true;
}

void watch_barrier(const void* place) {
    barrier = offset_of(place);
}

void watch_leave() {
    inside = false;
    stretch.longest(thread);
}

std::string watch_end_launch() {
    end_block();
    const char* const path = std::getenv("COMIX_EMULATED_STEPS_FILE");
    if (!path) return "";
    std::FILE* const file = std::fopen(path, "a");
    if (!file) return "cannot write COMIX_EMULATED_STEPS_FILE";
    print(file);
    std::fclose(file);
    return "";
}

void watch_access(Kind kind, const void* target, std::size_t bytes, const void*) {
    if (!inside) return;
    const auto address = reinterpret_cast<std::uintptr_t>(target);
    if (address - reinterpret_cast<std::uintptr_t>(stack) < kStack) return;
    if (address - reinterpret_cast<std::uintptr_t>(comix::cuda::comix_arena) < kArena) {
        ++thread.of[local_access];
        return;
    }
    for (const Index* const own : {&threadIdx, &blockIdx, &blockDim, &gridDim})
        if (target == own) return;
    if (address - parameters < kParameters) return;
    ++thread.of[global_access];
    auto& sectors = kind == Kind::reads || kind == Kind::reads_atomically ? counted.read  //
                                                                          : counted.written;
    for (std::uintptr_t sector = address >> kSectorBits;
         sector <= (address + bytes - 1) >> kSectorBits; ++sector) {
        sectors.insert(sector);
        if (touched.insert(sector).second) thread.of[fetches] = 1;
    }
}

}  // namespace comix_emulated

extern "C" void __sanitizer_cov_trace_pc() {
    if (comix_emulated::inside) ++comix_emulated::thread.of[comix_emulated::code];
}
