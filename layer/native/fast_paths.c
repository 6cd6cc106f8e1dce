// Faster versions of some of MicroPython's functions. The linker's `--wrap` replaces the originals
// by them; an original is still available as `__real_...`. The originals took most of the
// instructions of a start and of a check. The function's boot waits for the start, and a reader may
// wait for the check: see docs/performance.md.
#include <string.h>

#include "py/builtin.h"
#include "py/emitglue.h"
#include "py/frozenmod.h"
#include "py/gc.h"
#include "py/runtime.h"

extern const char mp_frozen_names[];
extern const mp_frozen_module_t *const mp_frozen_mpy_content[];

// Finds a frozen module. For each import, MicroPython measures and compares the names of all frozen
// modules several times: a tenth of all the instructions of a start. Here the lengths are measured
// once. Every frozen module is compiled and named `package/module.py`. So a path can be a module
// only if it has a dot and a slash, and a package only if it has neither.
#define MOST_MODULES 64

mp_import_stat_t __wrap_mp_find_frozen_module(const char *path, int *type, void **code) {
    static struct {
        const char *name;
        size_t length;
    } modules[MOST_MODULES];
    static size_t count;
    if (!count) {
        for (const char *name = mp_frozen_names; *name && count < MOST_MODULES; count++) {
            modules[count].name = name;
            modules[count].length = strlen(name);
            name += modules[count].length + 1;
        }
    }
    if (type) {
        *type = MP_FROZEN_NONE;
    }
    bool is_package = !strchr(path, '.');
    if (is_package == !!strchr(path, '/')) {
        return MP_IMPORT_STAT_NO_EXIST;
    }
    size_t length = strlen(path);
    for (size_t i = 0; i < count; i++) {
        if (is_package ? modules[i].length > length && modules[i].name[length] == '/'
                && memcmp(modules[i].name, path, length) == 0
            : modules[i].length == length && memcmp(modules[i].name, path, length) == 0) {
            if (is_package) {
                return MP_IMPORT_STAT_DIR;
            }
            if (type) {
                *type = MP_FROZEN_MPY;
                *code = (void *)mp_frozen_mpy_content[i];
            }
            return MP_IMPORT_STAT_FILE;
        }
    }
    return MP_IMPORT_STAT_NO_EXIST;
}

// Finds an interned string. For each name that is imported and each string that is created,
// MicroPython searches its tables of interned strings step by step, so that equal strings share
// their memory: a fifth of all the instructions of a start, and of a check. Here, the strings that
// are interned at the start are found by their hash. Other created strings do not share memory. For
// other names, MicroPython's own function is called, which interns them.
#define PLACES 4096
#define LONGEST_SHARED 32

qstr __real_qstr_from_strn(const char *text, size_t length);
qstr __real_qstr_find_strn(const char *text, size_t length);

static qstr find_string(const char *text, size_t length) {
    // A hash table of the interned strings' numbers: each is at its hash or in a later place.
    static uint16_t places[PLACES];
    static size_t count;
    if (!count) {
        for (const qstr_pool_t *pool = MP_STATE_VM(last_pool); pool; pool = pool->prev) {
            for (size_t i = 0; i < pool->len && count < PLACES / 2; i++, count++) {
                size_t at = pool->hashes[i] % PLACES;
                while (places[at]) {
                    at = (at + 1) % PLACES;
                }
                places[at] = pool->total_prev_len + i;
            }
        }
    }
    size_t at = qstr_compute_hash((const byte *)text, length) % PLACES;
    for (; places[at]; at = (at + 1) % PLACES) {
        size_t known_length;
        const byte *known = qstr_data(places[at], &known_length);
        if (known_length == length && memcmp(known, text, length) == 0) {
            return places[at];
        }
    }
    return MP_QSTRnull;
}

// Whether MicroPython's own function is running, which interns a string. It has to find the strings
// that were interned after the start, too.
static bool interns;

qstr __wrap_qstr_from_strn(const char *text, size_t length) {
    qstr found = find_string(text, length);
    if (!found) {
        interns = true;
        found = __real_qstr_from_strn(text, length);
        interns = false;
    }
    return found;
}

qstr __wrap_qstr_find_strn(const char *text, size_t length) {
    if (interns) {
        return __real_qstr_find_strn(text, length);
    }
    return length > LONGEST_SHARED ? MP_QSTRnull : find_string(text, length);
}

// Makes room for the names of classes and instances. They are stored one by one, and MicroPython
// makes room for one more each time. Here, the dictionary of a class and the map of an instance get
// room at once for as many names as most of them need. A class's dictionary is the first one that
// is created after `mp_load_build_class`.
#define CLASS_NAMES 12
#define INSTANCE_NAMES 8

static bool begins_class, is_dictionary;

mp_obj_t __real_mp_load_build_class(void);
mp_obj_t __real_mp_obj_new_dict(size_t room);
void __real_mp_map_init(mp_map_t *map, size_t room);

mp_obj_t __wrap_mp_load_build_class(void) {
    begins_class = true;
    return __real_mp_load_build_class();
}

mp_obj_t __wrap_mp_obj_new_dict(size_t room) {
    if (begins_class && !room) {
        room = CLASS_NAMES;
    }
    begins_class = false;
    is_dictionary = true;
    return __real_mp_obj_new_dict(room);
}

void __wrap_mp_map_init(mp_map_t *map, size_t room) {
    __real_mp_map_init(map, room || is_dictionary ? room : INSTANCE_NAMES);
    is_dictionary = false;
}

// Allocates on the heap. MicroPython searches for free blocks from the beginning. The blocks after
// the last used one are always free, so they are taken first. If there are too few, MicroPython's
// own function searches for free blocks and collects garbage.
void *__real_gc_alloc(size_t size, unsigned int flags);

void *__wrap_gc_alloc(size_t size, unsigned int flags) {
    mp_state_mem_area_t *area = &MP_STATE_MEM(area);
    size_t blocks = (size + MICROPY_BYTES_PER_GC_BLOCK - 1) / MICROPY_BYTES_PER_GC_BLOCK;
    size_t block = area->gc_last_used_block + 1;
    if (flags || !blocks || MP_STATE_THREAD(gc_lock_depth) > 0
        || block + blocks > area->gc_alloc_table_byte_len * 4) {
        return __real_gc_alloc(size, flags);
    }
    area->gc_last_used_block += blocks;
    byte *start = area->gc_pool_start + block * MICROPY_BYTES_PER_GC_BLOCK;
    memset(start, 0, blocks * MICROPY_BYTES_PER_GC_BLOCK);
    // Two bits for each block, as in py/gc.c: 1 is an allocation's first block, 2 one of the others.
    for (int kind = 1; blocks; kind = 2, block++, blocks--) {
        area->gc_alloc_table_start[block / 4] |= kind << block % 4 * 2;
    }
    return start;
}

// Finds a name in a dictionary of names, or adds it. For each name, MicroPython divides twice and
// calls two functions, and a full dictionary grows by a fifth. Here, one division is enough, and a
// full dictionary grows to twice its size. The less frequent cases call MicroPython's own version,
// which mpconfigport_layer.h renames: other keys, removals, ordered dictionaries, the growth of
// large ones.
#define MOST_GROWTH 64

mp_map_elem_t *mp_map_lookup_fully(mp_map_t *map, mp_obj_t key, mp_map_lookup_kind_t kind);

static void make_room(mp_map_t *map) {
    mp_map_t old = *map;
    size_t room = 2 * old.alloc + 1;
    // If there is no memory, this raises an exception and the map does not change.
    map->table = m_new0(mp_map_elem_t, room);
    map->alloc = room;
    map->used = 0;
    for (size_t i = 0; i < old.alloc; i++) {
        mp_map_lookup(map, old.table[i].key, MP_MAP_LOOKUP_ADD_IF_NOT_FOUND)->value = old.table[i].value;
    }
    m_del(mp_map_elem_t, old.table, old.alloc);
}

static size_t hash_of_name(qstr name) {
    const qstr_pool_t *pool = MP_STATE_VM(last_pool);
    while (name < pool->total_prev_len) {
        pool = pool->prev;
    }
    return pool->hashes[name - pool->total_prev_len];
}

mp_map_elem_t *mp_map_lookup(mp_map_t *map, mp_obj_t key, mp_map_lookup_kind_t kind) {
    if (!map->alloc || !map->all_keys_are_qstrs || !mp_obj_is_qstr(key)
        || kind == MP_MAP_LOOKUP_REMOVE_IF_FOUND) {
        return mp_map_lookup_fully(map, key, kind);
    }
    // Where the name was found last, in this dictionary or another one.
    uint8_t *place = &MP_STATE_VM(map_lookup_cache)[((uintptr_t)key >> 2) % MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE];
    if (*place < map->alloc && map->table[*place].key == key) {
        return &map->table[*place];
    }
    if (map->is_ordered) {
        return mp_map_lookup_fully(map, key, kind);
    }
    size_t at = (uint32_t)hash_of_name(MP_OBJ_QSTR_VALUE(key)) % (uint32_t)map->alloc;
    for (size_t left = map->alloc; left; left--) {
        mp_map_elem_t *element = &map->table[at];
        if (element->key == key) {
            *place = at;
            return element;
        }
        if (element->key == MP_OBJ_NULL) {
            if (kind == MP_MAP_LOOKUP) {
                return NULL;
            }
            map->used++;
            element->key = key;
            element->value = MP_OBJ_NULL;
            return element;
        }
        if (element->key == MP_OBJ_SENTINEL) {
            return mp_map_lookup_fully(map, key, kind);
        }
        if (++at == map->alloc) {
            at = 0;
        }
    }
    if (kind == MP_MAP_LOOKUP) {
        return NULL;
    }
    if (map->alloc < MOST_GROWTH) {
        make_room(map);
        return mp_map_lookup(map, key, kind);
    }
    return mp_map_lookup_fully(map, key, kind);
}
