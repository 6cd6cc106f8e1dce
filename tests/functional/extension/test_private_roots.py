"""Roots of private CAs in AWS_CA_BUNDLE, and servers' versions of TLS, on both interpreters."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from testing.certificates import make_certificates, make_chain
from testing.index_server import IndexServer
from testing.lambda_api import LambdaApi
from tests.functional.extension.conftest import Extension, Start

_POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
CONSTRAINTS = {
    "nameConstraints": x509.NameConstraints([x509.DNSName("localhost")], None),
    "policyConstraints": x509.PolicyConstraints(0, None),
    "certificatePolicies": x509.CertificatePolicies([x509.PolicyInformation(_POLICY, None)]),
    "inhibitAnyPolicy": x509.InhibitAnyPolicy(0),
}
Registry = Callable[[ssl.SSLContext], IndexServer]


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Registry:
    """Serve an index over TLS with a context."""

    def serve(context: ssl.SSLContext) -> IndexServer:
        server = IndexServer(tls=context, name="localhost")
        request.addfinalizer(server.close)
        server.publish("users", "1.4.2")
        return server

    return serve


def _run(start: Start, lambda_api: LambdaApi, server: IndexServer, bundle: Path) -> Extension:
    extension = start(
        "users",
        AWS_ENDPOINT_URL_DYNAMODB=server.url,
        AWS_CA_BUNDLE=str(bundle),
    )
    lambda_api.wait_until_ready()
    return extension


def test_root_signed_with_sha1_is_trusted(
    start: Start, lambda_api: LambdaApi, registry: Registry, tmp_path: Path
) -> None:
    """Old roots are signed with SHA-1 by their own key; that signature is not relied on."""
    old = make_certificates(tmp_path / "old", is_old=True)

    extension = _run(start, lambda_api, registry(old.good), old.bundle)

    assert extension.document()["users"]["status"] == "active", extension.log()


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_critical_constraint_is_honoured_or_named(
    start: Start,
    lambda_api: LambdaApi,
    registry: Registry,
    tmp_path: Path,
    interpreter: str,
    name: str,
) -> None:
    """A CA's limits are never ignored; the layer names those that it can't apply."""
    limited = make_certificates(tmp_path / "limited", extension=CONSTRAINTS[name])

    extension = _run(start, lambda_api, registry(limited.good), limited.bundle)

    if interpreter == "micropython":
        assert extension.document()["users"]["status"] == "unavailable"
        extension.wait_for_log(f"'Test CA' has the critical extension {name}")
    elif name == "nameConstraints":
        assert extension.document()["users"]["status"] == "active", extension.log()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraint_of_an_intermediate_is_honoured_or_named(
    start: Start,
    lambda_api: LambdaApi,
    registry: Registry,
    tmp_path: Path,
    interpreter: str,
    name: str,
    version: ssl.TLSVersion,
) -> None:
    """The peer sends this certificate; the bundle has only the root."""
    bundle, context = make_chain(tmp_path / "chain", CONSTRAINTS[name])
    context.minimum_version = context.maximum_version = version
    server = registry(context)

    extension = _run(start, lambda_api, server, bundle)

    if interpreter == "micropython":
        extension.wait_for_log(f"'Intermediate CA' has the critical extension {name}")
        assert server.connections == 1
    elif name == "nameConstraints":
        assert extension.document()["users"]["status"] == "active", extension.log()


def test_name_outside_of_a_constraint_is_refused(
    start: Start, lambda_api: LambdaApi, registry: Registry, tmp_path: Path
) -> None:
    """A CA that may sign for one domain only can't sign for the registry."""
    constraint = x509.NameConstraints([x509.DNSName("corp.example")], None)
    limited = make_certificates(tmp_path / "limited", extension=constraint)

    extension = _run(start, lambda_api, registry(limited.good), limited.bundle)

    assert extension.document()["users"]["status"] == "unavailable"
    extension.wait_for_log("TLS with localhost")


def test_bundle_with_one_root_that_cannot_be_used_serves_the_others(
    start: Start, lambda_api: LambdaApi, registry: Registry, tmp_path: Path
) -> None:
    """A company's bundle has many roots; one that can't be used must not disable all."""
    limited = make_certificates(tmp_path / "limited", extension=CONSTRAINTS["policyConstraints"])
    good = make_certificates(tmp_path / "good")
    good.bundle.write_bytes(limited.bundle.read_bytes() + good.bundle.read_bytes())

    extension = _run(start, lambda_api, registry(good.good), good.bundle)

    assert extension.document()["users"]["status"] == "active", extension.log()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_server_with_one_version_of_tls_is_understood(
    start: Start, lambda_api: LambdaApi, registry: Registry, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    certificates = make_certificates(tmp_path / "tls")
    context = certificates.good
    context.minimum_version = context.maximum_version = version

    server = registry(context)
    extension = _run(start, lambda_api, server, certificates.bundle)
    for _ in range(3):
        lambda_api.invoke()

    assert extension.document()["users"]["status"] == "active", extension.log()
    assert len(server.requests) == 4
    assert server.connections == 1
