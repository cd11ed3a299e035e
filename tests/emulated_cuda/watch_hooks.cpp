// What the compiler calls before every access of code with -fsanitize=thread.
#include "watch.hpp"

using comix_emulated::Kind;
using comix_emulated::watch_access;

#define COMIX_HOOK(name, bytes, kind)                                         \
    extern "C" void __tsan_##name(void* target) {                             \
        watch_access(Kind::kind, target, bytes, __builtin_return_address(0)); \
    }
#define COMIX_HOOKS(bytes)                                    \
    COMIX_HOOK(read##bytes, bytes, reads)                     \
    COMIX_HOOK(write##bytes, bytes, writes)                   \
    COMIX_HOOK(unaligned_read##bytes, bytes, reads)           \
    COMIX_HOOK(unaligned_write##bytes, bytes, writes)         \
    COMIX_HOOK(volatile_read##bytes, bytes, reads_atomically) \
    COMIX_HOOK(volatile_write##bytes, bytes, updates_atomically)

COMIX_HOOKS(1)
COMIX_HOOKS(2)
COMIX_HOOKS(4)
COMIX_HOOKS(8)
COMIX_HOOKS(16)

extern "C" void __tsan_init() {}
extern "C" void __tsan_vptr_update(void**, void*) {}  // the host's code has such
extern "C" void __tsan_vptr_read(void**) {}
extern "C" void __tsan_read_range(void* target, std::size_t bytes) {
    watch_access(Kind::reads, target, bytes, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void* target, std::size_t bytes) {
    watch_access(Kind::writes, target, bytes, __builtin_return_address(0));
}

// An atomic operation is one access.
void comix_emulated::watch_update(const void* target, std::size_t bytes, const void* caller) {
    watch_access(Kind::updates_atomically, target, bytes, caller);
}
