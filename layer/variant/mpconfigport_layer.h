// The configuration of MicroPython's unix port, with what the port itself leaves no choice in.
#include <mpconfigport.h>

// Each nested import has a buffer of this size on the stack. With PATH_MAX, as in the unix port, each
// would touch a page of memory more; the paths of frozen modules are short.
#undef MICROPY_ALLOC_PATH_MAX
#define MICROPY_ALLOC_PATH_MAX (512)
// It would need a buffer of PATH_MAX.
#undef MICROPY_PY_SYS_EXECUTABLE
#define MICROPY_PY_SYS_EXECUTABLE (0)
// native/fast_paths.c defines `mp_map_lookup`, and calls MicroPython's own version by this name.
#define MICROPY_WRAP_MP_MAP_LOOKUP(f) f##_fully
