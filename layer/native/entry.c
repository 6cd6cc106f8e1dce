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

// Imports ask for the same few interned strings again and again, and MicroPython searches its tables
// from the beginning each time: a quarter of all the instructions of a start. The last strings are
// remembered. A string's number never changes, and the text is compared, so a stale entry does no harm.
#define REMEMBERED_STRINGS 64

qstr __real_qstr_from_strn(const char *text, size_t length);

qstr __wrap_qstr_from_strn(const char *text, size_t length) {
    static qstr remembered[REMEMBERED_STRINGS];
    if (length < 2) {
        return __real_qstr_from_strn(text, length);
    }
    size_t place = (length * 31 + (byte)text[length - 1] * 7 + (byte)text[length - 2] * 3
        + (byte)text[length / 2]) % REMEMBERED_STRINGS;
    qstr known = remembered[place];
    if (known) {
        size_t known_length;
        const byte *known_text = qstr_data(known, &known_length);
        if (known_length == length && memcmp(known_text, text, length) == 0) {
            return known;
        }
    }
    return remembered[place] = __real_qstr_from_strn(text, length);
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
