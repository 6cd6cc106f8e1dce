"""The services file on disk: replaced in one step, and leased so that its readers can be held.

Portable: runs under MicroPython and CPython. A write lease (fcntl(2), F_SETLEASE) makes the kernel
hold every process that opens the file, in any language, until the lease ends. It ends with this
process, too. `held_readers.py` decides when a reader is held, and for how long.
`registration.py` logs why a write failed.
"""

import os

from extension import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NamedTuple

    class Leftover(NamedTuple):
        """An earlier run's file: its document, and its modification time in nanoseconds."""

        document: bytes
        mtime_ns: int

else:
    from collections import namedtuple

    Leftover = namedtuple("Leftover", ("document", "mtime_ns"))

_MODE = 0o644
_ENOENT = 2
_EAGAIN = 11
_EEXIST = 17
_FILE_TYPE = 0o170000
_REGULAR = 0o100000
_LARGEST_LEFTOVER = 268_435_456
_STAGING = ".new"
# A staged file exists for milliseconds. An older one was left by a process that was killed.
_ABANDONED_AFTER_S = 60


class ServicesFile:
    """The services file at one path.

    Attributes:
        path: The file's absolute path.
        is_leased: Whether this process holds a lease on the file that it last put in place.
        is_awaited: Whether a reader is known to wait for the end of that lease.
        can_lease: False once the kernel or the file system has refused a lease for good.
    """

    def __init__(
        self, path: str, *, wall: "Callable[[], float]", random: "Callable[[], float]"
    ) -> None:
        """Set the path, the clock and the random source; the file is not touched yet."""
        self.path = path
        self.is_leased = False
        self.is_awaited = False
        self.can_lease = True
        self._wall = wall
        self._random = random
        # The descriptor of the file in place, open while the file may be leased; the file's size.
        self._fd: "int | None" = None
        self._size = 0
        # Descriptors and sizes of replaced files that are still leased: readers may wait for them.
        self._replaced: "list[tuple[int, int]]" = []
        # What `stat` returned when this process last wrote or touched the file.
        self._last_stat: "tuple[int, int, int, int, int] | None" = None

    @property
    def size(self) -> int:
        """The size of the document that was last put in place."""
        return self._size

    @property
    def is_open(self) -> bool:
        """Whether the file in place is open here, so that it can be leased."""
        return self._fd is not None

    def leftover(self) -> "Leftover | None":
        """Return the earlier run's file; None if there is none, or it cannot be read."""
        try:
            info = system.stat(self.path)
            # Opening a pipe would block until it has a writer.
            if info[0] & _FILE_TYPE != _REGULAR or info[1] > _LARGEST_LEFTOVER:
                return None
            return Leftover(system.read_file(self.path), info[2])
        except (OSError, MemoryError):
            return None

    def hold(self, document: bytes, mtime_ns: int) -> bool:
        """Put *document* in place under a lease, so that no reader can open it yet.

        Returns:
            Whether a lease was granted; if not, the path is unchanged.

        Raises:
            OSError: The file can't be written.
        """
        staging, fd = self._stage(document, mtime_ns)
        if not self._lease_new(fd):
            system.close(fd)
            system.remove(staging)
            return False
        self._put_in_place(staging, fd)
        self._keep(fd, len(document), is_leased=True)
        return True

    @property
    def has_replaced(self) -> bool:
        """Whether readers may wait for a file that was replaced."""
        return bool(self._replaced)

    def replace(self, document: bytes, mtime_ns: int, *, is_leased: bool) -> None:
        """Put *document* in place in one step.

        It is also written into the replaced files that held readers wait for; `let_replaced_go`
        lets these readers continue.

        Args:
            is_leased: Whether the new file should be leased, if possible.

        Raises:
            OSError: The file can't be written; the previous one stays.
        """
        # The file is stale until this write succeeds, even if `stat` returns what it did before.
        self._last_stat = None
        staging, fd = self._stage(document, mtime_ns)
        # Leased before the rename, so that every reader that opens the new file is held.
        has_lease = is_leased and self._lease_new(fd)
        self._put_in_place(staging, fd)
        self._last_stat = system.stat(self.path)
        if self._fd is not None and self.is_leased:
            self._replaced.append((self._fd, self._size))
            self._fd = None
        self._keep(fd if has_lease else None, len(document), is_leased=has_lease)
        self._replaced = [
            (each, self._fill(each, size_before, document, mtime_ns))
            for each, size_before in self._replaced
        ]
        if not has_lease:
            system.close(fd)
        if not self._replaced:
            self._touch_for_watchers()

    def arm(self, patience_us: int) -> bool:
        """Lease the file again; return whether it is leased now.

        The kernel grants no lease while a reader has the file open.

        Args:
            patience_us: How many microseconds to wait for readers to close it.
        """
        if self._fd is not None and not self.is_leased:
            self.is_leased = self._lease(self._fd, patience_us)
        return self.is_leased

    def notice(self) -> bool:
        """Return whether a reader waits for the lease's end; True only for the first reader."""
        # The signal may have been for a replaced file.
        if self._fd is None or not self.is_leased or not system.is_awaited(self._fd):
            return False
        is_first = not self.is_awaited
        self.is_awaited = True
        return is_first

    def let_replaced_go(self) -> None:
        """Let the readers continue that wait for a replaced file."""
        if not self._replaced:
            return
        for fd, _ in self._replaced:
            # Closing the file ends its lease.
            system.close(fd)
        self._replaced = []
        self._touch_for_watchers()

    def _touch_for_watchers(self) -> None:
        """Touch the file: the last event of a watched folder (inotify) should not be a deletion."""
        if self._last_stat is not None:
            try:
                system.set_mtime(self.path, self._last_stat[2])
            except OSError:
                # Another process has removed the file. The next check writes it again.
                pass

    def let_go(self) -> None:
        """End the lease, so that readers continue; `arm` can lease the same file again."""
        self.let_replaced_go()
        if self._fd is not None and self.is_leased:
            self.is_leased = self.is_awaited = False
            try:
                system.end_lease(self._fd)
            except OSError:
                # The kernel has ended the lease, after /proc/sys/fs/lease-break-time seconds.
                pass

    def release(self) -> None:
        """End the lease for good."""
        self.let_replaced_go()
        self._keep(None, 0, is_leased=False)

    def is_unchanged(self) -> bool:
        """Return whether the file is in place, and no other process has changed it."""
        try:
            return self._last_stat is not None and system.stat(self.path) == self._last_stat
        except OSError:
            return False

    def is_replaced_by_newer(self) -> bool:
        """Return whether another process has put a file in place whose answers are newer.

        Two environments may share a file (EFS).
        """
        last = self._last_stat
        try:
            found = system.stat(self.path)
        except OSError:
            return False
        if last is None or found[0] & _FILE_TYPE != _REGULAR or not found[1]:
            return False
        # The modification time is that of the last successful check. Another environment replaces
        # the file, which changes its inode; a change in place does not.
        is_newer: bool = found[2] > last[2] and found[3:] != last[3:]
        return is_newer

    def touch(self, mtime_ns: int) -> None:
        """Set only the modification time.

        Raises:
            OSError: It can't be set.
        """
        for fd, _ in self._replaced:
            system.set_mtime(fd, mtime_ns)
        system.set_mtime(self.path, mtime_ns)
        self._last_stat = system.stat(self.path)

    def remove_abandoned(self) -> None:
        """Remove the staged files of processes that were killed."""
        folder, _, name = self.path.rpartition("/")
        try:
            names = os.listdir(folder or "/")
        except OSError:
            return
        for each in names:
            if each.startswith(name + ".") and each.endswith(_STAGING) and self._is_old(each):
                _remove(folder + "/" + each)

    def _is_old(self, staging_name: str) -> bool:
        """Return whether the time in a staged file's name is over a minute before or after now."""
        parts = staging_name.split(".")
        try:
            staged_at = int(parts[-3], 16) if len(parts) > 3 else 0
        except ValueError:
            staged_at = 0
        return not -_ABANDONED_AFTER_S < self._wall() - staged_at < _ABANDONED_AFTER_S

    def _keep(self, fd: "int | None", size: int, *, is_leased: bool) -> None:
        """Close the previous file, which ends its lease, and keep the new one."""
        before, self._fd = self._fd, fd
        self._size = size
        self.is_leased = is_leased
        self.is_awaited = False
        if before is not None:
            system.close(before)

    def _lease_new(self, fd: int) -> bool:
        """Lease a new file; record in `can_lease` whether the lease was granted."""
        # No other process has the file open, so EAGAIN is a refusal for good, too (NFSv4).
        self.can_lease = self._lease(fd, 0)
        return self.can_lease

    def _lease(self, fd: int, patience_us: int) -> bool:
        try:
            system.lease(fd, patience_us)
        except OSError as error:
            if error.errno != _EAGAIN:
                self.can_lease = False
            return False
        return True

    def _stage(self, document: bytes, mtime_ns: int) -> "tuple[str, int]":
        """Write *document* beside the path; return its path and the open file.

        The name has the time and a random number in it: two environments may share a file (EFS).
        """
        number = int(self._random() * 0x1_0000_0000)
        staging = f"{self.path}.{int(self._wall()):x}.{number:08x}{_STAGING}"
        fd = self._create(staging)
        try:
            system.write_at(fd, document, 0)
            system.chmod(fd, _MODE)
            system.set_mtime(fd, mtime_ns)
        except OSError:
            system.close(fd)
            _remove(staging)
            raise
        return staging, fd

    def _create(self, staging: str) -> int:
        """Create a file; its folders only if they are missing."""
        try:
            fd: int = system.create(staging)
        except OSError as error:
            if error.errno != _ENOENT:
                raise
            self._make_folders()
            fd = system.create(staging)
        return fd

    def _put_in_place(self, staging: str, fd: int) -> None:
        try:
            system.rename(staging, self.path)
        except OSError:
            system.close(fd)
            _remove(staging)
            raise

    def _fill(self, fd: int, size: int, document: bytes, mtime_ns: int) -> int:
        """Write *document* into a leased file of *size* bytes, which held readers will read.

        If the disk is full, they read the file's present content.

        Returns:
            The file's size now.
        """
        view = memoryview(document)
        if len(document) > size:
            # The part after the present end is written first: if the disk is full, the present
            # document stays whole.
            try:
                system.write_at(fd, view[size:], size)
            except OSError:
                system.truncate(fd, size)
                return size
        if len(document) < size:
            # Before the file is truncated, blanks overwrite its end: if this process ends in
            # between, readers still find one JSON document.
            system.write_at(fd, document + b" " * (size - len(document)), 0)
            system.truncate(fd, len(document))
        else:
            system.write_at(fd, view[:size], 0)
        system.set_mtime(fd, mtime_ns)
        return len(document)

    def _make_folders(self) -> None:
        at = self.path.find("/", 1)
        while at > 0:
            try:
                system.mkdir(self.path[:at])
            except OSError as error:
                if error.errno != _EEXIST and not _exists(self.path[:at]):
                    raise
            at = self.path.find("/", at + 1)


def _exists(path: str) -> bool:
    try:
        system.stat(path)
    except OSError:
        return False
    return True


def _remove(path: str) -> None:
    try:
        system.remove(path)
    except OSError:
        pass
