"""Starts a program for which the kernel refuses leases, as on a network file system.

NFS without leases returns EINVAL, NFSv4 without delegations EAGAIN. A seccomp filter makes
fcntl(F_SETLEASE) fail with such an error, and changes nothing else.
"""

import ctypes
import os
import platform
import struct
import sys

_F_SETLEASE = 1024
_FCNTL = {"x86_64": 72, "aarch64": 25}
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
# Offsets in `struct seccomp_data`: the system call's number, and its second argument's low half.
_NUMBER_AT, _COMMAND_AT = 0, 24
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def command(errno: int) -> list[str]:
    """Return a command to which the path and the arguments of a program are appended."""
    return [sys.executable, __file__, str(errno)]


def _refuse_leases(errno: int) -> None:
    instructions = [
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_IF_EQUAL, 0, 3, _FCNTL[platform.machine()]),
        (_LOAD, 0, 0, _COMMAND_AT),
        (_JUMP_IF_EQUAL, 0, 1, _F_SETLEASE),
        (_RETURN, 0, 0, _ERRNO | errno),
        (_RETURN, 0, 0, _ALLOW),
    ]
    program = b"".join(struct.pack("HBBI", *each) for each in instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    loaded = _Filter(len(instructions), program)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(loaded)
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    _refuse_leases(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # the program of the test
