"""A CA for tests, and server certificates that it has signed."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)
_CA_MAY_SIGN = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


# The algorithms' object identifiers in DER.
_RSA_WITH_SHA256 = bytes.fromhex("06092a864886f70d01010b")
_RSA_WITH_SHA1 = bytes.fromhex("06092a864886f70d010105")
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Certificates:
    """A CA's bundle, and server contexts with certificates of that CA."""

    bundle: Path
    good: ssl.SSLContext
    other_name: ssl.SSLContext
    expired: ssl.SSLContext


def make_chain(folder: Path, extension: x509.ExtensionType) -> tuple[Path, ssl.SSLContext]:
    """Make a CA's bundle, and a server's context with a certificate of an intermediate CA.

    Args:
        folder: The folder to create.
        extension: A critical extension of the intermediate CA's certificate.
    """
    folder.mkdir()
    authority = _Authority(folder)
    intermediate = authority.make_intermediate(extension)
    return authority.write_bundle(), intermediate.server("localhost", "127.0.0.1", 1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class _Authority:
    def __init__(
        self,
        folder: Path,
        *,
        extension: x509.ExtensionType | None = None,
        is_old: bool = False,
        name: str = "Test CA",
    ) -> None:
        self._folder = folder
        self._name = name
        self._chain = b""
        self._key: _Key = ec.generate_private_key(ec.SECP256R1())
        if is_old:
            self._key = rsa.generate_private_key(65537, 2048)
        self._now = dt.datetime.now(dt.UTC)
        self._extension = extension
        self._is_old = is_old

    def _builder(self, name: str, key: _Key, until: dt.datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - 3 * _DAY)
            .not_valid_after(until)
        )

    def write_bundle(self) -> Path:
        """Write the authority's own certificate."""
        builder = (
            self._builder(self._name, self._key, self._now + _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_CA_MAY_SIGN, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
        )
        if self._extension is not None:
            builder = builder.add_extension(self._extension, critical=True)
        der = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        if self._is_old:
            # Current libraries cannot sign with SHA-1, so the signature becomes wrong. It does not
            # matter, since clients do not verify the signature of a root.
            der = der.replace(_RSA_WITH_SHA256, _RSA_WITH_SHA1)
        path = self._folder / "ca.pem"
        path.write_text(ssl.DER_cert_to_PEM_cert(der), encoding="ascii")
        return path

    def make_intermediate(self, extension: x509.ExtensionType) -> "_Authority":
        """Make an intermediate authority; *extension* is a critical one of its certificate."""
        intermediate = _Authority(self._folder, name="Intermediate CA")
        certificate = (
            self._builder(intermediate._name, intermediate._key, self._now + _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_CA_MAY_SIGN, critical=True)
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        intermediate._chain = certificate.public_bytes(serialization.Encoding.PEM)
        return intermediate

    def server(self, name: str, address: str, days: int) -> ssl.SSLContext:
        """Make a server's context for *name* and *address*, valid for this many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [
            x509.DNSName(name),
            x509.IPAddress(ipaddress.ip_address(address)),
        ]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(name, key, self._now + days * _DAY)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path = self._folder / f"{name}{days}.pem"
        own = certificate.public_bytes(serialization.Encoding.PEM)
        path.write_bytes(private + own + self._chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def make_certificates(
    folder: Path,
    *,
    extension: x509.ExtensionType | None = None,
    is_old: bool = False,
) -> Certificates:
    """Make an authority and its servers' certificates below *folder*.

    Args:
        folder: The folder to create.
        extension: A critical extension of the authority's own certificate.
        is_old: Whether the authority's own certificate has SHA-1 as its signature algorithm.
    """
    folder.mkdir()
    authority = _Authority(folder, extension=extension, is_old=is_old)
    return Certificates(
        bundle=authority.write_bundle(),
        good=authority.server("localhost", "127.0.0.1", 1),
        other_name=authority.server("other.example", "127.0.0.9", 1),
        expired=authority.server("localhost", "127.0.0.1", -1),
    )
