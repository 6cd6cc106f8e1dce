"""The other architecture's extension under emulation, with the same servers."""

import shutil
import subprocess
import sys

import pytest

from local.execution_environment import own_arch
from testing.certificates import Certificates
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.conftest import ROOT, BuiltLayer
from tests.functional.extension.conftest import Start


@pytest.fixture
def interpreter() -> str:
    """Return the binary only: CPython is the same on every architecture."""
    return "micropython"


@pytest.fixture
def index(tls_index: IndexServer) -> IndexServer:
    """Return the index over TLS, whose arithmetic differs most between architectures."""
    return tls_index


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> BuiltLayer:
    """Build the other architecture's layer, and wrap its program in the emulator."""
    arch, emulator = ("arm64", "qemu-aarch64-static")
    if own_arch() == "arm64":
        arch, emulator = ("x86_64", "qemu-x86_64-static")
    if not shutil.which(emulator):
        pytest.skip(f"{emulator} is not installed (Debian: apt-get install qemu-user-static)")
    folder = tmp_path_factory.mktemp("other")
    built = BuiltLayer(folder=folder / "opt", micropython=folder / "micropython")
    command = [sys.executable, str(ROOT / "layer/build.py"), "--arch", arch]
    subprocess.run([*command, "--output", str(built.folder)], check=True)
    foreign = built.program.rename(folder / "service-discovery")
    built.program.write_text(f'#!/bin/sh\nexec {emulator} "{foreign}"\n', encoding="utf-8")
    built.program.chmod(0o755)
    return built


def test_other_architecture_resolves_checks_and_ends(
    start: Start, lambda_api: LambdaApi, index: IndexServer, certificates: Certificates
) -> None:
    index.publish("users", "1.4.2")
    extension = start("users", AWS_CA_BUNDLE=str(certificates.bundle))
    lambda_api.wait_until_ready()
    at_init = extension.document()["users"]["version"]
    index.publish("users", "1.5.0", revision=2)

    lambda_api.invoke()

    assert (at_init, extension.document()["users"]["version"]) == ("1.4.2", "1.5.0")
    assert index.connections == 1, extension.log()
    lambda_api.shut_down()
    assert extension.wait_for_exit() == 0


def test_other_architecture_refuses_a_certificate_for_another_name(
    start: Start, lambda_api: LambdaApi, index: IndexServer, certificates: Certificates
) -> None:
    """Certificates are verified there, too."""
    index.tls = certificates.other_name

    extension = start("users", AWS_CA_BUNDLE=str(certificates.bundle))
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "unavailable"
    wait_for(lambda: "needs not resolved" in extension.log(), "the refusal in the log")
    assert not index.requests
