"""Which readers are held, tested in a single process."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension import system
from extension.file_writer import ServicesFile
from extension.held_readers import HeldReaders


@pytest.fixture
def signals() -> Iterator[int]:
    """Watch the leases' signal, and unblock it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    descriptor = system.watch_leases()
    yield descriptor
    os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_signal_for_a_replaced_file_ends_no_lease(tmp_path: Path, signals: int) -> None:
    """Otherwise, after a freeze, the next reader would not be held."""
    file = ServicesFile(str(tmp_path / "services.json"), wall=time.time, random=lambda: 0.5)
    assert file.hold(b"{}\n", 0)
    readers = HeldReaders(file, signals, hold_s=1, renew=lambda: None)

    signal.raise_signal(signal.SIGRTMIN)
    readers.notice()

    assert file.is_leased
    assert not file.is_awaited
    file.release()
