"""The services file on disk: replaced in one step, and held back while the first resolve goes on.

Portable: runs under MicroPython and CPython. The hold is a write lease (fcntl(2), F_SETLEASE): the
kernel keeps whoever opens the file waiting until the lease ends, in any language, and ends it
by itself should this process die.
"""

from extension import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Leftover(NamedTuple):
        """What an earlier run left: the document, and its modification time in nanoseconds."""

        document: bytes
        mtime_ns: int

else:
    from collections import namedtuple

    Leftover = namedtuple("Leftover", ("document", "mtime_ns"))

_MODE = 0o644
_ENOENT = 2
_EEXIST = 17
_FILE_TYPE = 0o170000
_REGULAR = 0o100000
_LARGEST_LEFTOVER = 268_435_456


class ServicesFile:
    """The services file at one path; this process is its only writer."""

    def __init__(self, path: str) -> None:
        """Take an absolute path; nothing is touched yet."""
        self._path = path
        self._staging = path + ".new"
        self._leased: "int | None" = None
        self._left: "tuple[int, int, int, int, int] | None" = None

    @property
    def path(self) -> str:
        """The file's absolute path."""
        return self._path

    def leftover(self) -> "Leftover | None":
        """Read what an earlier run left, if anything can be read."""
        try:
            info = system.stat(self._path)
            # To open a pipe would be to wait for its writer.
            if info[0] & _FILE_TYPE != _REGULAR or info[1] > _LARGEST_LEFTOVER:
                return None
            return Leftover(system.read_file(self._path), info[2])
        except (OSError, MemoryError):
            return None

    def hold(self, document: bytes, mtime_ns: int) -> bool:
        """Put *document* in place such that nobody can open it until `release`.

        Returns:
            Whether the kernel holds readers back; False leaves the path as it was.

        Raises:
            OSError: The file can't be written.
        """
        fd = self._stage(document, mtime_ns)
        try:
            system.lease(fd)
        except OSError:
            # This kernel or file system grants no lease.
            system.close(fd)
            system.remove(self._staging)
            return False
        try:
            system.rename(self._staging, self._path)
        except OSError:
            system.close(fd)
            self._discard()
            raise
        self._leased = fd
        return True

    def replace(self, document: bytes, mtime_ns: int) -> None:
        """Put *document* in place in one step, and let readers that were held back read it.

        Raises:
            OSError: The file can't be written; the one before stays.
        """
        # Until this document is in place, whatever is there is not as it should be.
        self._left = None
        fd = self._stage(document, mtime_ns)
        system.close(fd)
        try:
            system.rename(self._staging, self._path)
        except OSError:
            self._discard()
            raise
        self._remember()
        if self._leased is not None:
            self._fill(self._leased, document, mtime_ns)
            self.release()

    def release(self) -> None:
        """Let readers that were held back go on."""
        if self._leased is not None:
            fd, self._leased = self._leased, None
            system.close(fd)

    def is_as_left(self) -> bool:
        """Tell whether the file is in place, and nobody else has touched it."""
        try:
            return self._left is not None and system.stat(self._path) == self._left
        except OSError:
            return False

    def touch(self, mtime_ns: int) -> None:
        """Move the modification time alone.

        Raises:
            OSError: It can't be moved.
        """
        system.set_mtime(self._path, mtime_ns)
        self._remember()

    def _remember(self) -> None:
        self._left = system.stat(self._path)

    def _stage(self, document: bytes, mtime_ns: int) -> int:
        """Write *document* beside the path; tell the open file."""
        fd = self._create()
        try:
            system.write_at(fd, document, 0)
            system.chmod(fd, _MODE)
            system.set_mtime(fd, mtime_ns)
        except OSError:
            system.close(fd)
            self._discard()
            raise
        return fd

    def _create(self) -> int:
        """Make the file beside the path; the folders only where they are missing."""
        try:
            fd: int = system.create(self._staging)
        except OSError as error:
            if error.errno == _EEXIST:
                # A run that was ended in between has left it.
                system.remove(self._staging)
            elif error.errno == _ENOENT:
                self._make_folders()
            else:
                raise
            fd = system.create(self._staging)
        return fd

    def _fill(self, fd: int, document: bytes, mtime_ns: int) -> None:
        """Write *document* into the leased file, which early readers have been waiting for.

        Where there is no room for it they read the placeholder: what a failed resolve leaves.
        """
        try:
            system.allocate(fd, len(document))
        except OSError:
            return
        system.write_at(fd, document, 0)
        system.truncate(fd, len(document))
        system.set_mtime(fd, mtime_ns)

    def _make_folders(self) -> None:
        at = self._path.find("/", 1)
        while at > 0:
            try:
                system.mkdir(self._path[:at])
            except OSError as error:
                if error.errno != _EEXIST and not _is_there(self._path[:at]):
                    raise
            at = self._path.find("/", at + 1)

    def _discard(self) -> None:
        try:
            system.remove(self._staging)
        except OSError:
            pass


def _is_there(path: str) -> bool:
    try:
        system.stat(path)
    except OSError:
        return False
    return True
