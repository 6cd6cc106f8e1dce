"""SnapStart restores many environments from one snapshot; their random numbers must differ."""

import os
import subprocess
import sys
import time

import pytest

from extension import endpoints, system, tls_client
from extension.http_client import HttpClient
from extension.trust import CertificateBundle
from extension.waiting import Waiter
from testing.certificates import Certificates
from testing.index_server import IndexServer
from tests.conftest import ROOT, BuiltLayer


def test_random_numbers_differ_between_environments_from_one_snapshot(
    interpreter: str, layer: BuiltLayer
) -> None:
    """Each environment must choose its own copy of an item, and its own pauses."""
    program = (
        "import random; random.seed(7)\n"
        "from extension import system\n"
        "numbers = [system.random() for _ in range(100)]\n"
        "assert all(0 <= each < 1 for each in numbers) and max(numbers) > 0.5 > min(numbers)\n"
        "print(numbers)"
    )
    binary = str(layer.micropython) if interpreter == "micropython" else sys.executable
    environment = {"PYTHONPATH": str(ROOT), "MICROPYPATH": ".frozen"}

    runs = [
        subprocess.run([binary, "-c", program], env=environment, capture_output=True, check=True)
        for _ in range(2)
    ]

    assert runs[0].stdout != runs[1].stdout


def test_connection_after_an_idle_gap_has_a_new_tls_context(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TLS context holds a random generator; one state would give all environments one key."""
    server = IndexServer(tls=certificates.good, name="localhost")
    server.unchecked_fault = lambda connection, _: connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    contexts: list[object] = []
    make = tls_client.new_context

    def made(bundles: list[bytes]) -> object:
        contexts.append(make(bundles))
        return contexts[-1]

    monkeypatch.setattr(tls_client, "new_context", made)
    signals, no_signal = os.pipe()
    client = HttpClient(
        endpoints.parse(server.url),
        Waiter(signals),
        trust=CertificateBundle(str(certificates.bundle)),
    )

    def ask() -> None:
        client.request("GET", "/", ["host: localhost"], b"", system.monotonic() + 20)

    ask()
    ask()
    assert len(contexts) == 1
    now = time.time()
    monkeypatch.setattr(system, "wall", lambda: now + 60)
    ask()

    assert len(contexts) == 2
    server.close()
    for each in (signals, no_signal):
        os.close(each)
