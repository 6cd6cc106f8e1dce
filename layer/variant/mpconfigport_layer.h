// The configuration of MicroPython's unix port. It changes settings that a variant can't change,
// since the port defines them unconditionally.
#include <mpconfigport.h>

// Each nested import has a buffer of this size on the stack. The paths of frozen modules are short.
// With PATH_MAX, as in the unix port, each of them would use one more page of memory.
#undef MICROPY_ALLOC_PATH_MAX
#define MICROPY_ALLOC_PATH_MAX (512)
// sys.executable would need a buffer of PATH_MAX.
#undef MICROPY_PY_SYS_EXECUTABLE
#define MICROPY_PY_SYS_EXECUTABLE (0)
// native/fast_paths.c defines `mp_map_lookup`, and calls MicroPython's own version by this name.
#define MICROPY_WRAP_MP_MAP_LOOKUP(f) f##_fully
