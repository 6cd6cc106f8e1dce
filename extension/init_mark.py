"""A file in /tmp that exists during the first resolve.

Portable: runs under MicroPython and CPython. Lambda repeats a failed init in the next invocation,
under the function's own timeout (Developer Guide, "Lambda execution environment"). No environment
variable has that timeout. If a failed init has left its mark, the first resolve gets less time.
Environments that share the services file (EFS) do not share the mark: each has its own /tmp.
"""

import binascii

from extension import system

_FOLDER = "/tmp/"  # noqa: S108  # the one writable folder of a Lambda environment
_MOST_MARKS = 2


class InitMark:
    """The mark of one environment, by the path of its services file."""

    def __init__(self, services_file: str) -> None:
        """Set the path; nothing is touched yet."""
        number = binascii.crc32(services_file.encode("utf-8"))
        self._path = f"{_FOLDER}.service-discovery-init-{number:08x}"

    def begin(self) -> int:
        """Write the mark; return how many earlier first resolves did not end."""
        unfinished = 0
        try:
            # The mark's size is the number of starts that have written it.
            unfinished = min(system.stat(self._path)[1], _MOST_MARKS)
            system.remove(self._path)
        except OSError:
            pass
        try:
            fd = system.create(self._path)
        except OSError:
            return unfinished
        try:
            system.write_at(fd, b"." * (unfinished + 1), 0)
        except OSError:
            pass
        system.close(fd)
        return unfinished

    def end(self) -> None:
        """Remove the mark: the first resolve has ended, with or without success."""
        try:
            system.remove(self._path)
        except OSError:
            pass
