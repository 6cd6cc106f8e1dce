"""Certificates in bundles: splitting them, and describing why one is refused."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from extension.certificates import describe_refusal, split
from testing.certificates import make_certificates

_POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")


@pytest.mark.parametrize(
    ("extension", "name"),
    [
        (x509.NameConstraints(None, [x509.DNSName("corp.test")]), "nameConstraints"),
        (x509.PolicyConstraints(0, None), "policyConstraints"),
        (x509.CertificatePolicies([x509.PolicyInformation(_POLICY, None)]), "certificatePolicies"),
        (x509.InhibitAnyPolicy(0), "inhibitAnyPolicy"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.99"), b"\x05\x00"), "2.5.29.99"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), "2a03"),
    ],
)
def test_certificate_and_critical_extension_are_named(
    tmp_path: Path, extension: x509.ExtensionType, name: str
) -> None:
    """The log's reader has to find the certificate in the bundle."""
    pem = make_certificates(tmp_path / "ca", extension=extension).bundle.read_bytes()
    der = ssl.PEM_cert_to_DER_cert(pem.decode())

    for certificate in (pem, pem.replace(b"\n", b"\r\n"), der):
        expected = f"'Test CA' has the critical extension {name}, which"
        assert expected in describe_refusal(certificate)


def test_certificate_without_such_an_extension_has_no_description(tmp_path: Path) -> None:
    pem = make_certificates(tmp_path / "ca").bundle.read_bytes()

    assert describe_refusal(pem) == ""


@pytest.mark.parametrize("cut", range(1, 400, 7))
def test_cut_certificate_has_no_description(tmp_path: Path, cut: int) -> None:
    """A bundle may contain any bytes."""
    extension = x509.PolicyConstraints(0, None)
    pem = make_certificates(tmp_path / "ca", extension=extension).bundle.read_text(encoding="ascii")

    assert describe_refusal(ssl.PEM_cert_to_DER_cert(pem)[:-cut]) == ""


def test_bundle_is_split_in_either_form(tmp_path: Path) -> None:
    """Comments between certificates are common."""
    pem = make_certificates(tmp_path / "ca").bundle.read_bytes()
    der = ssl.PEM_cert_to_DER_cert(pem.decode())

    assert split(b"# one\n" + pem + b"\n# two\n" + pem) == [pem, pem]
    assert split(der + der) == [der, der]
    assert split(b"none") == []
    assert split(pem[:-10]) == []
