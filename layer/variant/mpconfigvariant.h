// The features of the layer's MicroPython: those of the unix port, without those that an extension
// never uses. An extension is not interactive and controls no hardware.

// For malloc, with which the heap grows.
#include <stdlib.h>

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)
#define MICROPY_PY_SYS_PATH_DEFAULT ".frozen"

// The heap starts small (native/entry.c) and grows when it is full.
#define MICROPY_GC_SPLIT_HEAP (1)
#define MICROPY_GC_SPLIT_HEAP_AUTO (1)

// The dictionary of a module's names and that of all modules get enough room at once. Their growth
// step by step takes a fifth of all the instructions between the start of the process and the first
// line of our Python that does some work.
#define MICROPY_MODULE_DICT_SIZE (29)
#define MICROPY_LOADED_MODULES_DICT_SIZE (47)
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (512)
// Our classes define no __get__, __set__, __delete__, __setattr__ or __delattr__. With these
// options, MicroPython would search each class for them.
#define MICROPY_PY_DESCRIPTORS (0)
#define MICROPY_PY_DELATTR_SETATTR (0)

// The state of each Python call is on a separate stack. On the heap, it would have to be allocated
// and freed.
#define MICROPY_ENABLE_PYSTACK (1)

#define MICROPY_EMIT_X64 (0)
#define MICROPY_EMIT_ARM (0)
#define MICROPY_PY_ASYNCIO (0)
#define MICROPY_PY_FRAMEBUF (0)
#define MICROPY_PY_UCTYPES (0)
#define MICROPY_PY_HEAPQ (0)
#define MICROPY_PY_CMATH (0)

#include "ports/unix/variants/mpconfigvariant_common.h"

#undef MICROPY_PY_MACHINE
#define MICROPY_PY_MACHINE (0)
#undef MICROPY_PY_WEBSOCKET
#define MICROPY_PY_WEBSOCKET (0)
#undef MICROPY_PY_OS_DUPTERM
#define MICROPY_PY_OS_DUPTERM (0)
#undef MICROPY_VFS_ROM
#define MICROPY_VFS_ROM (0)
#undef MICROPY_PY_CRYPTOLIB
#define MICROPY_PY_CRYPTOLIB (0)
#undef MICROPY_PY_HASHLIB_MD5
#define MICROPY_PY_HASHLIB_MD5 (0)
#undef MICROPY_PY_HASHLIB_SHA1
#define MICROPY_PY_HASHLIB_SHA1 (0)
