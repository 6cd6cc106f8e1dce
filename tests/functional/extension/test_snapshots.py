"""SnapStart: many environments are restored from the memory of one, and must not be alike."""

import os
import subprocess
import sys
import time

import pytest

from extension import endpoints
from extension import interpreter as portable
from extension.http_client import HttpClient
from extension.trust import CertificateBundle
from testing.certificates import Certificates
from testing.index_server import IndexServer
from tests.conftest import ROOT, BuiltLayer


def test_dice_of_environments_from_one_snapshot_differ(interpreter: str, layer: BuiltLayer) -> None:
    """Each must choose its own copy, and pause for a time of its own."""
    program = (
        "import random; random.seed(7)\n"
        "from extension import interpreter\n"
        "dice = [interpreter.random() for _ in range(100)]\n"
        "assert all(0 <= each < 1 for each in dice) and max(dice) > 0.5 > min(dice)\n"
        "print(dice)"
    )
    binary = str(layer.micropython) if interpreter == "micropython" else sys.executable
    environment = {"PYTHONPATH": str(ROOT), "MICROPYPATH": ".frozen"}

    runs = [
        subprocess.run([binary, "-c", program], env=environment, capture_output=True, check=True)
        for _ in range(2)
    ]

    assert runs[0].stdout != runs[1].stdout


def test_connection_behind_a_gap_has_new_dice(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A context for TLS has a generator of its own; with one state, all would have one key."""
    server = IndexServer(tls=certificates.good, name="localhost")
    server.answer_anything = lambda connection, _: connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    contexts: list[object] = []
    make = portable.tls_context

    def made(roots: bytes) -> object:
        contexts.append(make(roots))
        return contexts[-1]

    monkeypatch.setattr(portable, "tls_context", made)
    signals, no_signal = os.pipe()
    client = HttpClient(
        endpoints.parse(server.url),
        portable.Waiter(signals),
        trust=CertificateBundle(str(certificates.bundle)),
    )

    def ask() -> None:
        client.request("GET", "/", [("host", "localhost")], b"", portable.monotonic() + 20)

    ask()
    ask()
    assert len(contexts) == 1
    now = time.time()
    monkeypatch.setattr(portable, "wall", lambda: now + 60)
    ask()

    assert len(contexts) == 2
    server.close()
    for each in (signals, no_signal):
        os.close(each)
