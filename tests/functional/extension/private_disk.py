"""A small disk for one extension, in a private mount namespace."""

import contextlib
import subprocess
from pathlib import Path

from tests.functional.extension.conftest import Extension

_ENTER = 'mount -t tmpfs -o "$0" tmpfs "$1" && cd "$1" && {} shift && exec "$@"'


class PrivateDisk:
    """A disk that can be filled and made read-only without affecting other processes."""

    def __init__(self, folder: Path, size: str = "256k") -> None:
        """Set the folder that it is mounted on, and its size as for mount(8)."""
        folder.mkdir()
        self._folder = folder
        self._size = size
        self.services_file = str(folder / "services.json")

    def enter(self, *, shell_command: str = "") -> list[str]:
        """Return the command that starts the extension on this disk.

        Args:
            shell_command: A command to run in the folder before the extension is started.
        """
        script = _ENTER.format(f"{{ {shell_command} || :; }} 2>&- &&" if shell_command else "")
        namespace = ["unshare", "--user", "--map-root-user", "--mount"]
        return [*namespace, "sh", "-c", script, f"size={self._size}", str(self._folder)]

    def _seen_from_outside(self, extension: Extension) -> Path:
        return Path(f"/proc/{extension.process.pid}/root{self._folder}")

    def fill(self, extension: Extension) -> None:
        """Fill the disk completely."""
        ballast = self._seen_from_outside(extension) / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def empty(self, extension: Extension) -> None:
        """Free the disk's space."""
        (self._seen_from_outside(extension) / "ballast").unlink()

    def remount(self, extension: Extension, mode: str) -> None:
        """Make the disk read-only (`ro`) or writable again (`rw`)."""
        pid = str(extension.process.pid)
        enter = ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", pid]
        subprocess.run([*enter, "mount", "-o", f"remount,{mode}", str(self._folder)], check=True)
