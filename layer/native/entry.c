// The entry point of the process. If the binary is called `micropython`, it is the plain
// interpreter, which the tests run. Under any other name it is the extension. The extension reads
// no arguments and none of MicroPython's environment variables (MICROPYPATH and HOME belong to the
// function), and it imports only frozen modules.
#include <stdlib.h>
#include <string.h>

#include "extmod/vfs.h"
#include "extmod/vfs_posix.h"
#include "py/builtin.h"
#include "py/cstack.h"
#include "py/gc.h"
#include "py/mperrno.h"
#include "py/objlist.h"
#include "py/pystack.h"
#include "py/runtime.h"

#define HEAP_BYTES (256 * 1024)
#define LARGEST_GROWTH ((size_t)512 * 1024 * 1024)
#define STACK_BYTES (80 * 1024)
#define CALL_STACK_BYTES (64 * 1024)

int __real_main(int argc, char **argv);

static char heap[HEAP_BYTES] __attribute__((aligned(16)));
static char call_stack[CALL_STACK_BYTES] __attribute__((aligned(16)));

// The heap starts with HEAP_BYTES, which is enough for nearly every function, and grows when it is
// full.
size_t gc_get_max_new_split(void) {
    return LARGEST_GROWTH;
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
    mp_pystack_init(call_stack, call_stack + sizeof(call_stack));
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
