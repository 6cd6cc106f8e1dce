// The module `posix_calls`: the few system calls that the extension needs and MicroPython lacks.
// extension/posix_calls.py is the same module for CPython; its docstrings define the functions.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "py/runtime.h"
#include "py/unicode.h"

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

// The signal that the kernel sends when a reader waits for a leased file: see call_lease.
#define LEASE_SIGNAL SIGRTMIN
// A reader usually closes the file within this time.
#define FIRST_PAUSE_US 20
// A host name with its null byte: a name has at most 253 characters (RFC 1035, section 2.3.4).
#define LONGEST_HOST 256

static mp_obj_t checked(long result) {
    if (result < 0) {
        mp_raise_OSError(errno);
    }
    return mp_obj_new_int_from_ll(result);
}

static mp_obj_t call_create(mp_obj_t path) {
    return checked(open(mp_obj_str_get_str(path),
        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_create_obj, call_create);

static mp_obj_t call_write_at(mp_obj_t fd, mp_obj_t data, mp_obj_t offset) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(data, &buffer, MP_BUFFER_READ);
    off_t start = mp_obj_get_int(offset);
    size_t done = 0;
    while (done < buffer.len) {
        ssize_t n = pwrite(mp_obj_get_int(fd), (char *)buffer.buf + done, buffer.len - done,
            start + done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            mp_raise_OSError(n ? errno : ENOSPC);
        }
        done += n;
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(call_write_at_obj, call_write_at);

static mp_obj_t call_truncate(mp_obj_t fd, mp_obj_t size) {
    return checked(ftruncate(mp_obj_get_int(fd), mp_obj_get_int(size)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(call_truncate_obj, call_truncate);

static mp_obj_t call_chmod(mp_obj_t fd, mp_obj_t mode) {
    return checked(fchmod(mp_obj_get_int(fd), mp_obj_get_int(mode)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(call_chmod_obj, call_chmod);

static mp_obj_t call_close(mp_obj_t fd) {
    return checked(close(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_close_obj, call_close);

static mp_obj_t call_rename(mp_obj_t source_in, mp_obj_t target_in) {
    const char *source = mp_obj_str_get_str(source_in), *target = mp_obj_str_get_str(target_in);
    // ext4 writes a file to the disk before it is renamed over another one (auto_da_alloc), which
    // takes milliseconds. The services file need not survive a crash of the machine: exchange the
    // two and remove the old one. The target is the first argument, so that the last event that a
    // directory watcher gets for its name is MOVED_TO. If the kernel or the file system can't
    // exchange files, rename.
    struct stat info;
    if (!lstat(target, &info) && S_ISREG(info.st_mode)
        && !syscall(SYS_renameat2, AT_FDCWD, target, AT_FDCWD, source, RENAME_EXCHANGE)) {
        return checked(unlink(source));
    }
    return checked(rename(source, target));
}
static MP_DEFINE_CONST_FUN_OBJ_2(call_rename_obj, call_rename);

static mp_obj_t call_set_mtime(mp_obj_t file, mp_obj_t nanoseconds) {
    mp_int_t ns = mp_obj_get_int(nanoseconds);
    struct timespec times[2] = {{0, UTIME_OMIT}, {ns / 1000000000, ns % 1000000000}};
    if (mp_obj_is_str(file)) {
        return checked(utimensat(AT_FDCWD, mp_obj_str_get_str(file), times, 0));
    }
    return checked(futimens(mp_obj_get_int(file), times));
}
static MP_DEFINE_CONST_FUN_OBJ_2(call_set_mtime_obj, call_set_mtime);

static mp_obj_t call_stat(mp_obj_t path) {
    struct stat info;
    checked(stat(mp_obj_str_get_str(path), &info));
    mp_obj_t parts[5] = {
        mp_obj_new_int_from_ull(info.st_mode),
        mp_obj_new_int_from_ll(info.st_size),
        mp_obj_new_int_from_ll(info.st_mtim.tv_sec * 1000000000LL + info.st_mtim.tv_nsec),
        mp_obj_new_int_from_ull(info.st_ino),
        mp_obj_new_int_from_ull(info.st_dev),
    };
    return mp_obj_new_tuple(5, parts);
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_stat_obj, call_stat);

static mp_obj_t call_lease(mp_obj_t fd_in, mp_obj_t patience_us) {
    int fd = mp_obj_get_int(fd_in);
    long left_us = mp_obj_get_int(patience_us), pause_us = FIRST_PAUSE_US;
    for (;;) {
        // F_UNLCK resets the signal to SIGIO (fs/locks.c, lease_modify): set it before every lease.
        checked(fcntl(fd, F_SETSIG, LEASE_SIGNAL));
        if (!fcntl(fd, F_SETLEASE, F_WRLCK)) {
            return mp_const_none;
        }
        if (errno != EAGAIN || left_us <= 0) {
            mp_raise_OSError(errno);
        }
        struct timespec pause = {0, pause_us * 1000};
        nanosleep(&pause, NULL);
        left_us -= pause_us;
        pause_us *= 2;
    }
}
static MP_DEFINE_CONST_FUN_OBJ_2(call_lease_obj, call_lease);

static mp_obj_t call_is_awaited(mp_obj_t fd) {
    return mp_obj_new_bool(fcntl(mp_obj_get_int(fd), F_GETLEASE) != F_WRLCK);
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_is_awaited_obj, call_is_awaited);

static mp_obj_t call_end_lease(mp_obj_t fd) {
    return checked(fcntl(mp_obj_get_int(fd), F_SETLEASE, F_UNLCK));
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_end_lease_obj, call_end_lease);

static mp_obj_t call_umask(mp_obj_t mode) {
    return checked(umask(mp_obj_get_int(mode)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_umask_obj, call_umask);

static mp_obj_t signal_descriptor(const sigset_t *signals) {
    sigprocmask(SIG_BLOCK, signals, NULL);
    return checked(signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC));
}

static mp_obj_t call_watch_signals(void) {
    // If the queue of real-time signals is full, the kernel sends SIGIO instead, which ends the
    // process by default.
    signal(SIGIO, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    return signal_descriptor(&ending);
}
static MP_DEFINE_CONST_FUN_OBJ_0(call_watch_signals_obj, call_watch_signals);

static mp_obj_t call_watch_leases(void) {
    sigset_t breaking;
    sigemptyset(&breaking);
    sigaddset(&breaking, LEASE_SIGNAL);
    return signal_descriptor(&breaking);
}
static MP_DEFINE_CONST_FUN_OBJ_0(call_watch_leases_obj, call_watch_leases);

static mp_obj_t seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return mp_obj_new_float(now.tv_sec + now.tv_nsec / 1e9);
}

static mp_obj_t call_monotonic(void) {
    return seconds(CLOCK_MONOTONIC);
}
static MP_DEFINE_CONST_FUN_OBJ_0(call_monotonic_obj, call_monotonic);

static mp_obj_t call_wall(void) {
    return seconds(CLOCK_REALTIME);
}
static MP_DEFINE_CONST_FUN_OBJ_0(call_wall_obj, call_wall);

// C's `getenv` is not used, since it calls `strncmp` for every variable.
static mp_obj_t call_getenv(mp_obj_t name_in) {
    size_t length;
    const char *name = mp_obj_str_get_data(name_in, &length);
    for (char **each = environ; *each; each++) {
        const char *value = *each;
        size_t i = 0;
        while (i < length && value[i] == name[i]) {
            i++;
        }
        if (i == length && value[i] == '=') {
            value += length + 1;
            size_t size = strlen(value);
            if (!utf8_check((const byte *)value, size)) {
                mp_raise_ValueError(MP_ERROR_TEXT("it is not UTF-8"));
            }
            return size ? mp_obj_new_str(value, size) : mp_const_none;
        }
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_getenv_obj, call_getenv);

// From the kernel at each call: see extension/system.py.
static mp_obj_t call_random(void) {
    uint32_t number;
    if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
        mp_raise_OSError(errno);
    }
    return mp_obj_new_float(number / 4294967296.0);
}
static MP_DEFINE_CONST_FUN_OBJ_0(call_random_obj, call_random);

static mp_obj_t call_write_stderr(mp_obj_t data) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(data, &buffer, MP_BUFFER_READ);
    size_t done = 0;
    while (done < buffer.len) {
        ssize_t n = write(2, (char *)buffer.buf + done, buffer.len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;  // The error cannot be logged: stderr is the log.
        }
        done += n;
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_write_stderr_obj, call_write_stderr);

static mp_obj_t call_exit(mp_obj_t status) {
    _exit(mp_obj_get_int(status));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(call_exit_obj, call_exit);

// Looks up a host name. getaddrinfo has no deadline, so it runs in a thread of its own. The thread
// does not use MicroPython. It writes the addresses, or the error, to a pipe, which can be polled.
typedef struct {
    int pipe;
    int family;
    char host[LONGEST_HOST];
} look_up_t;

static void *look_up(void *argument) {
    look_up_t *wanted = argument;
    struct addrinfo hints = {.ai_family = wanted->family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char text[2048];
    size_t length = 0;
    int error = getaddrinfo(wanted->host, NULL, &hints, &found);
    if (error) {
        length = snprintf(text, sizeof(text), "%c%s", error == EAI_NONAME ? '?' : '!',
            gai_strerror(error));
    }
    for (struct addrinfo *each = found; each && length < sizeof(text) - NI_MAXHOST;
        each = each->ai_next) {
        char address[NI_MAXHOST];
        if (!getnameinfo(each->ai_addr, each->ai_addrlen, address, sizeof(address), NULL, 0,
            NI_NUMERICHOST)) {
            length += snprintf(text + length, sizeof(text) - length, "%s\n", address);
        }
    }
    if (write(wanted->pipe, text, length) < 0) {
        // The reader no longer waits for this result.
    }
    close(wanted->pipe);
    free(wanted);
    return NULL;
}

static mp_obj_t call_look_up(mp_obj_t host, mp_obj_t family) {
    size_t length;
    const char *name = mp_obj_str_get_data(host, &length);
    if (length >= LONGEST_HOST) {
        mp_raise_OSError(ENAMETOOLONG);
    }
    look_up_t *wanted = calloc(1, sizeof(look_up_t));
    if (!wanted) {
        mp_raise_OSError(ENOMEM);
    }
    memcpy(wanted->host, name, length);
    wanted->family = mp_obj_get_int(family);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        int error = errno;
        free(wanted);
        mp_raise_OSError(error);
    }
    wanted->pipe = ends[1];
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attributes, look_up, wanted);
    if (error) {
        close(ends[0]);
        close(ends[1]);
        free(wanted);
        mp_raise_OSError(error);
    }
    return MP_OBJ_NEW_SMALL_INT(ends[0]);
}
static MP_DEFINE_CONST_FUN_OBJ_2(call_look_up_obj, call_look_up);

static mp_obj_t call_read(mp_obj_t fd, mp_obj_t size) {
    vstr_t text;
    vstr_init_len(&text, mp_obj_get_int(size));
    ssize_t n;
    do {
        n = read(mp_obj_get_int(fd), text.buf, text.len);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        mp_raise_OSError(errno);
    }
    text.len = n;
    return mp_obj_new_bytes_from_vstr(&text);
}
static MP_DEFINE_CONST_FUN_OBJ_2(call_read_obj, call_read);

size_t take_refused_certificate(byte *der, size_t size);

static mp_obj_t call_refused_certificate(void) {
    byte der[4096];
    return mp_obj_new_bytes(der, take_refused_certificate(der, sizeof(der)));
}
static MP_DEFINE_CONST_FUN_OBJ_0(call_refused_certificate_obj, call_refused_certificate);

static const mp_rom_map_elem_t posix_calls_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_posix_calls)},
    {MP_ROM_QSTR(MP_QSTR_create), MP_ROM_PTR(&call_create_obj)},
    {MP_ROM_QSTR(MP_QSTR_write_at), MP_ROM_PTR(&call_write_at_obj)},
    {MP_ROM_QSTR(MP_QSTR_truncate), MP_ROM_PTR(&call_truncate_obj)},
    {MP_ROM_QSTR(MP_QSTR_chmod), MP_ROM_PTR(&call_chmod_obj)},
    {MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&call_close_obj)},
    {MP_ROM_QSTR(MP_QSTR_rename), MP_ROM_PTR(&call_rename_obj)},
    {MP_ROM_QSTR(MP_QSTR_set_mtime), MP_ROM_PTR(&call_set_mtime_obj)},
    {MP_ROM_QSTR(MP_QSTR_stat), MP_ROM_PTR(&call_stat_obj)},
    {MP_ROM_QSTR(MP_QSTR_lease), MP_ROM_PTR(&call_lease_obj)},
    {MP_ROM_QSTR(MP_QSTR_is_awaited), MP_ROM_PTR(&call_is_awaited_obj)},
    {MP_ROM_QSTR(MP_QSTR_end_lease), MP_ROM_PTR(&call_end_lease_obj)},
    {MP_ROM_QSTR(MP_QSTR_umask), MP_ROM_PTR(&call_umask_obj)},
    {MP_ROM_QSTR(MP_QSTR_watch_signals), MP_ROM_PTR(&call_watch_signals_obj)},
    {MP_ROM_QSTR(MP_QSTR_watch_leases), MP_ROM_PTR(&call_watch_leases_obj)},
    {MP_ROM_QSTR(MP_QSTR_monotonic), MP_ROM_PTR(&call_monotonic_obj)},
    {MP_ROM_QSTR(MP_QSTR_wall), MP_ROM_PTR(&call_wall_obj)},
    {MP_ROM_QSTR(MP_QSTR_getenv), MP_ROM_PTR(&call_getenv_obj)},
    {MP_ROM_QSTR(MP_QSTR_random), MP_ROM_PTR(&call_random_obj)},
    {MP_ROM_QSTR(MP_QSTR_write_stderr), MP_ROM_PTR(&call_write_stderr_obj)},
    {MP_ROM_QSTR(MP_QSTR_exit), MP_ROM_PTR(&call_exit_obj)},
    {MP_ROM_QSTR(MP_QSTR_look_up), MP_ROM_PTR(&call_look_up_obj)},
    {MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&call_read_obj)},
    {MP_ROM_QSTR(MP_QSTR_refused_certificate), MP_ROM_PTR(&call_refused_certificate_obj)},
};
static MP_DEFINE_CONST_DICT(posix_calls_globals, posix_calls_table);

const mp_obj_module_t posix_calls_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&posix_calls_globals,
};
MP_REGISTER_MODULE(MP_QSTR_posix_calls, posix_calls_module);
