"""The extension as a child process: its environment, its log, its end."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from tests.functional.extension.conditions import LONG_S, wait_until

_LEVEL = re.compile(r"\b(DEBUG|INFO|WARN|ERROR)\b")


class Line:
    """One line of the log."""

    def __init__(self, text: str) -> None:
        """Take the line; JSON is read, of plain text only the level is known."""
        self.text = text
        self.fields: dict[str, Any] = {}
        if text.startswith("{"):
            self.fields = json.loads(text)
            self.level = str(self.fields.get("level"))
        else:
            found = _LEVEL.search(text)
            self.level = found[1] if found else ""


class ExtensionProcess:
    """A running extension."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        """Start it."""
        self.started_at = time.monotonic()
        self.ended_at = 0.0
        self.is_expected_to_fail = False
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def log(self) -> list[Line]:
        """What it has said so far."""
        return [Line(text) for text in self._lines]

    def said(self, level: str) -> list[Line]:
        """Tell the lines of *level* so far."""
        return [line for line in self.log if line.level == level]

    def wait_for_log(self, level: str, *, containing: str = "") -> Line:
        """Wait for a line of *level* that contains a text, and tell it."""

        def found() -> list[Line]:
            return [line for line in self.said(level) if containing in line.text]

        wait_until(found, f"a line at {level} with {containing!r} in {self._lines}")
        return found()[0]

    def send(self, number: signal.Signals) -> float:
        """Send a signal; tell when."""
        sent_at = time.monotonic()
        self._process.send_signal(number)
        return sent_at

    def wait_for_exit(self) -> int:
        """Wait until it ends, and tell its status."""
        self._reader.join(LONG_S)
        assert not self._reader.is_alive(), f"the extension does not end; it said {self._lines}"
        return self._process.wait()

    def end(self) -> int:
        """Make it end if it runs; tell its status."""
        if self.is_running:
            self.send(signal.SIGTERM)
        try:
            return self.wait_for_exit()
        except AssertionError:
            self._process.kill()
            self._reader.join(LONG_S)
            self._process.wait()
            raise

    def inside(self, path: Path) -> Path:
        """Spell *path* as the process sees it, in a mount namespace of its own perhaps."""
        return Path(f"/proc/{self.pid}/root{path}")

    def is_opening(self) -> bool:
        """Tell whether it hangs in a system call that opens a file."""
        return is_opening(self.pid)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
        self._process.wait()
        self.ended_at = time.monotonic()


def is_opening(pid: int) -> bool:
    """Tell whether a process hangs in open(2) or openat(2)."""
    try:
        call = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    except (OSError, IndexError):
        return False
    return call in _OPENING[os.uname().machine]


_OPENING = {"x86_64": ("2", "257"), "aarch64": ("56",)}
