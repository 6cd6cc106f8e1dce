"""Certificates for the tests: authorities of their own, and servers' chains, good and bad."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_DAY = datetime.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Who signs certificates."""

    certificate: x509.Certificate
    key: PrivateKey

    @classmethod
    def new(cls, name: str, key: PrivateKey) -> "Authority":
        """Make a root of one's own."""
        return cls(certificate=_certificate(name, key, issuer=None, host=None), key=key)

    def intermediate(self, name: str, key: PrivateKey) -> "Authority":
        """Make an authority below this one."""
        return Authority(certificate=_certificate(name, key, issuer=self, host=None), key=key)

    @property
    def pem(self) -> bytes:
        """The certificate, as a bundle holds it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    name: str,
    key: PrivateKey,
    *,
    issuer: Authority | None,
    host: str | None,
    ends_in: datetime.timedelta = 30 * _DAY,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer.certificate.subject if issuer else _name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * _DAY)
        .not_valid_after(now + ends_in)
        .add_extension(
            x509.BasicConstraints(ca=host is None, path_length=None), critical=host is None
        )
    )
    if host is not None:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What a server shows: one PEM file with its key, its certificate and the one above."""

    path: Path


class Certificates:
    """Everything that the TLS tests need, made once a session."""

    def __init__(self, folder: Path) -> None:
        """Make the files in *folder*."""
        self._folder = folder
        self._root = Authority.new("Test Root", rsa.generate_private_key(65_537, 2048))
        between = self._root.intermediate("Test CA", rsa.generate_private_key(65_537, 2048))
        other = Authority.new("Other Root", ec.generate_private_key(ec.SECP256R1()))
        self.bundle = self._file("bundle.pem", self._root.pem)
        self.other_bundle = self._file("other.pem", other.pem)
        # As a distribution's bundle: comments between, and more than one root.
        self.long_bundle = self._file("long.pem", b"# Other\n" + other.pem + b"\n" + self._root.pem)
        self.good = self._chain("good", between, "localhost")
        self.wrong_host = self._chain("wrong-host", between, "dynamodb.example.com")
        self.expired = self._chain("expired", between, "localhost", ends_in=-_DAY)
        self.other = self._chain("other-chain", other, "localhost")

    def _file(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        return path

    def _chain(
        self,
        name: str,
        issuer: Authority,
        host: str,
        ends_in: datetime.timedelta = 30 * _DAY,
    ) -> Chain:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(host, key, issuer=issuer, host=host, ends_in=ends_in)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        shown = leaf.public_bytes(serialization.Encoding.PEM) + issuer.pem
        return Chain(path=self._file(f"{name}.pem", secret + shown))
