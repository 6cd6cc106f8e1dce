"""The certificates that the extension trusts, with a private layer as /opt."""

import shlex
import shutil
import ssl
from pathlib import Path

import pytest

from testing.certificates import Certificates
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.conftest import BuiltLayer
from tests.functional.extension.conftest import Extension, Start

_ENTER = 'mount --bind "$0" /opt && exec "$@"'


@pytest.fixture
def interpreter() -> str:
    """Return the program that ships."""
    return "micropython"


@pytest.fixture
def index(tls_index: IndexServer) -> IndexServer:
    """Return the index over TLS."""
    return tls_index


def _in_der(bundle: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(bundle.read_text(encoding="ascii"))


@pytest.fixture
def layer(layer: BuiltLayer, tmp_path: Path) -> BuiltLayer:
    """Return a layer whose program has a copy of the layer as /opt."""
    opt = tmp_path / "opt"
    shutil.copytree(layer.folder, opt)
    entered = BuiltLayer(folder=tmp_path / "entered", micropython=layer.micropython)
    entered.program.parent.mkdir(parents=True)
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _ENTER]
    command += [str(opt), "/opt/extensions/service-discovery"]
    entered.program.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
    entered.program.chmod(0o755)
    return entered


@pytest.fixture
def roots(layer: BuiltLayer, tmp_path: Path) -> Path:
    """Return the path of the roots in that /opt."""
    assert layer.program.exists()
    return tmp_path / "opt/service-discovery/roots.der"


def test_chain_that_ends_at_a_shipped_root_is_trusted(
    start: Start, lambda_api: LambdaApi, certificates: Certificates, roots: Path
) -> None:
    """The test adds a root of its own to the shipped ones, since it has no key of Amazon's."""
    roots.write_bytes(roots.read_bytes() + _in_der(certificates.bundle))

    extension = start("users")
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["version"] == "1.4.2", extension.log()


@pytest.mark.parametrize("cut", ["no file", "empty", "cut"])
def test_unreadable_roots_are_only_logged(
    start: Start, lambda_api: LambdaApi, index: IndexServer, roots: Path, cut: str
) -> None:
    """A damaged layer neither trusts every peer nor stops a function."""
    whole = roots.read_bytes()
    roots.unlink()
    if cut != "no file":
        roots.write_bytes(whole[:100] if cut == "cut" else b"")

    extension = start("users")
    lambda_api.wait_until_ready()

    assert extension.is_running()
    assert extension.document()["users"]["status"] == "unavailable"
    extension.wait_for_log("needs not resolved")
    assert extension.log().count("needs not resolved") == 1
    assert index.requests == []


def test_bundle_may_be_in_der_too(
    start: Start, lambda_api: LambdaApi, certificates: Certificates, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.der"
    bundle.write_bytes(_in_der(certificates.bundle))

    extension = start("users", AWS_CA_BUNDLE=str(bundle))
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["version"] == "1.4.2", extension.log()


def test_bundle_that_has_changed_is_read_again(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    certificates: Certificates,
    other_certificates: Certificates,
    tmp_path: Path,
) -> None:
    """A corrected bundle works without a new execution environment."""
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(other_certificates.bundle.read_bytes())
    extension = start("users", AWS_CA_BUNDLE=str(bundle))
    lambda_api.wait_until_ready()
    assert extension.document()["users"]["status"] == "unavailable"
    assert index.requests == []

    bundle.write_bytes(certificates.bundle.read_bytes())
    wait_for(lambda: _check_succeeds(lambda_api, extension), "the table's answer")

    assert extension.document()["users"]["version"] == "1.4.2", extension.log()


def _check_succeeds(lambda_api: LambdaApi, extension: Extension) -> bool:
    """Invoke the function; return whether the need is answered."""
    lambda_api.invoke()
    status: str = extension.document()["users"]["status"]
    return status == "active"


def _with_system_roots(layer: BuiltLayer, folder: Path, bundle: Path) -> list[str]:
    """Return the command that starts the extension with *bundle* as the system's."""
    if not Path("/etc/ssl/certs").is_dir():
        pytest.skip("this system has no /etc/ssl/certs to put a bundle into")
    certs = folder / "certs"
    certs.mkdir()
    shutil.copy(bundle, certs / "ca-certificates.crt")
    hide = "".join(
        f'[ ! -e {path} ] || mount --bind "$0" {path}; '
        for path in ("/etc/pki/tls/certs", "/etc/ssl/certs")
    )
    shutil.copy(bundle, certs / "ca-bundle.crt")
    assert layer.program.exists()
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        hide + 'exec "$@"',
        str(certs),
    ]


def test_systems_roots_are_used_for_one_connection(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    layer: BuiltLayer,
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    """Each connection tries Amazon's roots first; the system's roots take a second handshake."""
    entered = _with_system_roots(layer, tmp_path, certificates.bundle)

    extension = start("users", *entered)
    lambda_api.wait_until_ready()
    assert extension.document()["users"]["version"] == "1.4.2", extension.log()
    assert index.connections == 2
    lambda_api.invoke()
    assert index.connections == 2
    index.drop()
    lambda_api.invoke()

    assert index.connections == 4
    assert len(index.requests) == 3


def test_shipped_roots_are_trusted_beside_the_systems(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    layer: BuiltLayer,
    certificates: Certificates,
    other_certificates: Certificates,
    roots: Path,
    tmp_path: Path,
) -> None:
    """A peer's chain may need the system's roots first, and the shipped ones later."""
    roots.write_bytes(roots.read_bytes() + _in_der(certificates.bundle))
    entered = _with_system_roots(layer, tmp_path, other_certificates.bundle)
    index.tls = other_certificates.good

    extension = start("users", *entered)
    lambda_api.wait_until_ready()
    assert extension.document()["users"]["version"] == "1.4.2", extension.log()
    index.tls = certificates.good
    index.drop()
    index.publish("users", "1.5.0", revision=2)
    lambda_api.invoke()

    assert extension.document()["users"]["version"] == "1.5.0", extension.log()


def test_chain_that_no_roots_verify_is_tried_twice(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    layer: BuiltLayer,
    other_certificates: Certificates,
    tmp_path: Path,
) -> None:
    entered = _with_system_roots(layer, tmp_path, other_certificates.bundle)

    extension = start("users", *entered)
    lambda_api.wait_until_ready()

    assert extension.document()["users"]["status"] == "unavailable"
    assert index.connections == 2
