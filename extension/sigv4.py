"""Signature Version 4, for requests whose path and headers are ours.

Portable: runs under MicroPython and CPython. Source: IAM User Guide, "Create a signed AWS API
request". The tests compare with botocore.
"""

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple

    class Credentials(NamedTuple):
        """Credentials; `session_token` is empty for those of a user."""

        access_key_id: str
        secret_access_key: str
        session_token: str

else:
    from collections import namedtuple

    Credentials = namedtuple("Credentials", ("access_key_id", "secret_access_key", "session_token"))

_ALGORITHM = "AWS4-HMAC-SHA256"
_BLOCK = 64
_INNER = int.from_bytes(b"\x36" * _BLOCK, "big")
_OUTER = int.from_bytes(b"\x5c" * _BLOCK, "big")
_UNRESERVED = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~/"


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _hmac(key: bytes, message: str) -> bytes:
    """HMAC-SHA-256 (RFC 2104)."""
    if len(key) > _BLOCK:
        key = _sha256(key)
    # XOR on one number: byte by byte it would take most of the signing's time.
    number = int.from_bytes(key + bytes(_BLOCK - len(key)), "big")
    inner = hashlib.sha256((number ^ _INNER).to_bytes(_BLOCK, "big"))
    inner.update(message.encode("utf-8"))
    outer = hashlib.sha256((number ^ _OUTER).to_bytes(_BLOCK, "big"))
    outer.update(inner.digest())
    return outer.digest()


def _encoded(path: str) -> str:
    """Return a path percent-encoded once more, as every service but S3 requires."""
    return "".join([chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in path.encode("utf-8")])


class SigningKeys:
    """Derives the key that signs a day's requests, and keeps the last one."""

    def __init__(self, region: str, service: str) -> None:
        """Set the scope; nothing is derived yet."""
        self.region = region
        self.service = service
        self._of = ("", "")
        self._key = b""

    def get(self, secret: str, date: str) -> bytes:
        """Return the key for a secret access key and a date."""
        if self._of != (secret, date):
            key = _hmac(("AWS4" + secret).encode("utf-8"), date)
            for part in (self.region, self.service, "aws4_request"):
                key = _hmac(key, part)
            self._of, self._key = (secret, date), key
        return self._key


def sign(
    headers: "Sequence[tuple[str, str]]",
    *,
    method: str,
    path: str,
    body: bytes,
    keys: SigningKeys,
    credentials: Credentials,
    timestamp: str,
) -> "list[tuple[str, str]]":
    """Return *headers* with those that sign the request.

    Args:
        headers: Other headers to sign; names in lower case, `host` among them.
        path: The path as it is sent, without a query.
        keys: The signing keys of the Region and the service.
        timestamp: The time as `20261123T080000Z`.
    """
    signed = list(headers) + [("x-amz-date", timestamp)]
    if credentials.session_token:
        signed.append(("x-amz-security-token", credentials.session_token))
    signed.sort()
    names = ";".join([name for name, _ in signed])
    lines = [method, _encoded(path), ""]
    lines += [f"{name}:{' '.join(value.split())}" for name, value in signed]
    lines += ["", names, _sha256(body).hex()]
    date = timestamp[:8]
    scope = f"{date}/{keys.region}/{keys.service}/aws4_request"
    canonical = _sha256("\n".join(lines).encode("utf-8")).hex()
    key = keys.get(credentials.secret_access_key, date)
    signature = _hmac(key, "\n".join([_ALGORITHM, timestamp, scope, canonical])).hex()
    credential = f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}"
    signed.append(("authorization", f"{credential}, SignedHeaders={names}, Signature={signature}"))
    return signed
