// Where the process starts. Under the name `micropython` the binary is the plain interpreter, which
// the tests run; under any other name it is the extension: it reads no arguments and no variable
// of MicroPython's (MICROPYPATH, HOME are the function's), and imports frozen modules alone.
#include <stdlib.h>
#include <string.h>

#include "extmod/vfs.h"
#include "extmod/vfs_posix.h"
#include "py/builtin.h"
#include "py/cstack.h"
#include "py/emitglue.h"
#include "py/frozenmod.h"
#include "py/gc.h"
#include "py/mperrno.h"
#include "py/objlist.h"
#include "py/runtime.h"

#define HEAP_BYTES (256 * 1024)
#define LARGEST_GROWTH ((size_t)512 * 1024 * 1024)
#define STACK_BYTES (80 * 1024)

int __real_main(int argc, char **argv);
extern const char mp_frozen_names[];
extern const mp_frozen_module_t *const mp_frozen_mpy_content[];

static char heap[HEAP_BYTES] __attribute__((aligned(16)));

// The heap starts small, for what nearly every function needs, and grows when it is full.
size_t gc_get_max_new_split(void) {
    return LARGEST_GROWTH;
}

// Replaces MicroPython's search of a frozen module, which measures and compares the names of all of
// them several times for each import: a tenth of all the instructions of a start. Every frozen module
// is compiled and named `package/module.py`, so a path with a dot and no slash, or with a slash and no
// dot, is none of them, and lengths are measured once.
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

// MicroPython searches its tables of interned strings, step by step, for each name that is imported and
// for each text that is made, to share the memory of equal ones: a fifth of all the instructions of a
// start, and of a check. The strings that the program has at its start are found by their hash here.
// A text that is not among them need not be shared; names that are added later take MicroPython's way.
#define PLACES 4096
#define LONGEST_SHARED 32

qstr __real_qstr_from_strn(const char *text, size_t length);
qstr __real_qstr_find_strn(const char *text, size_t length);

static qstr find_string(const char *text, size_t length) {
    // The numbers of the interned strings, each at its hash or behind it.
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

// MicroPython's own way, which interns a string, has to find those that were added later.
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

// Names of classes and of their instances are stored one by one, and MicroPython makes room for one
// more each time. The dictionary of a class, the next that is made after a class statement has begun,
// and the map of an instance get room at once for what most of them need.
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

static void mount_file_system(void) {
    mp_obj_t arguments[2] = {
        MP_OBJ_TYPE_GET_SLOT(&mp_type_vfs_posix, make_new)(&mp_type_vfs_posix, 0, 0, NULL),
        MP_OBJ_NEW_QSTR(MP_QSTR__slash_),
    };
    mp_vfs_mount(2, arguments, (mp_map_t *)&mp_const_empty_map);
    MP_STATE_VM(vfs_cur) = MP_STATE_VM(vfs_mount_table);
    while (MP_STATE_VM(vfs_cur)->next) {
        MP_STATE_VM(vfs_cur) = MP_STATE_VM(vfs_cur)->next;
    }
}

static int exit_status(mp_obj_t exception) {
    if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(exception)),
        MP_OBJ_FROM_PTR(&mp_type_SystemExit))) {
        mp_obj_t value = mp_obj_exception_get_value(exception);
        mp_int_t status = 0;
        return value == mp_const_none || mp_obj_get_int_maybe(value, &status) ? (int)status : 1;
    }
    mp_obj_print_exception(&mp_stderr_print, exception);
    return 1;
}

static MP_NOINLINE int run_extension(void) {
    gc_init(heap, heap + sizeof(heap));
    mp_init();
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        mount_file_system();
        mp_sys_path = mp_obj_new_list(0, NULL);
        mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(qstr_from_str(".frozen")));
        mp_obj_list_init(MP_OBJ_TO_PTR(mp_sys_argv), 0);
        mp_obj_t wanted = MP_OBJ_NEW_QSTR(qstr_from_str("main"));
        mp_obj_t module = mp_import_name(qstr_from_str("extension.main"),
            mp_obj_new_tuple(1, &wanted), MP_OBJ_NEW_SMALL_INT(0));
        mp_call_function_0(mp_load_attr(module, qstr_from_str("main")));
        nlr_pop();
        return 0;
    }
    return exit_status(MP_OBJ_FROM_PTR(nlr.ret_val));
}

int __wrap_main(int argc, char **argv) {
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    if (argc && strcmp(slash ? slash + 1 : argv[0], "micropython") == 0) {
        return __real_main(argc, argv);
    }
    mp_cstack_init_with_sp_here(STACK_BYTES);
    _Exit(run_extension());
}
