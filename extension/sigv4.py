"""Signature Version 4, for the paths and headers that this client sends.

Portable: runs under MicroPython and CPython. Source: IAM User Guide, "Create a signed AWS API
request". The tests compare with botocore.
"""

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple

    class Credentials(NamedTuple):
        """Credentials; `session_token` is empty for an IAM user's."""

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


class _Hmac:
    """HMAC-SHA-256 (RFC 2104) with one key, for many messages."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK:
            key = _sha256(key)
        # XOR on one large number: byte by byte it would take most of the time.
        number = int.from_bytes(key + bytes(_BLOCK - len(key)), "big")
        self._inner = (number ^ _INNER).to_bytes(_BLOCK, "big")
        self._outer = (number ^ _OUTER).to_bytes(_BLOCK, "big")

    def digest(self, message: str) -> bytes:
        return _sha256(self._outer + _sha256(self._inner + message.encode("utf-8")))


def _encoded(path: str) -> str:
    """Percent-encode a path once more, as all services except S3 require."""
    return "".join([chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in path.encode("utf-8")])


class SigningKeys:
    """Derives the key that signs a day's requests, and keeps the last one."""

    def __init__(self, region: str, service: str) -> None:
        """Set the scope; nothing is derived yet."""
        self._region = region
        self._service = service
        self._derived_from = ("", "")
        self._scope = ""
        self._key = _Hmac(b"")

    def get(self, secret: str, date: str) -> "tuple[str, _Hmac]":
        """Return the scope, and the key for a secret access key and a date."""
        if self._derived_from != (secret, date):
            parts = (date, self._region, self._service, "aws4_request")
            key = _Hmac(("AWS4" + secret).encode("utf-8"))
            for part in parts:
                key = _Hmac(key.digest(part))
            self._derived_from, self._scope, self._key = (secret, date), "/".join(parts), key
        return self._scope, self._key


class SignedRequest:
    """A request to send several times; only what depends on the time is computed each time."""

    def __init__(
        self,
        headers: "Sequence[tuple[str, str]]",
        *,
        method: str,
        path: str,
        body: bytes,
        keys: SigningKeys,
        credentials: Credentials,
    ) -> None:
        """Prepare a request.

        Args:
            headers: Other headers to sign, with names in lower case; `host` is required.
            path: The path as it is sent, without a query.
            keys: The signing keys of the Region and the service.
        """
        self._keys = keys
        self._credentials = credentials
        signed = list(headers) + [("x-amz-date", "")]
        if credentials.session_token:
            signed.append(("x-amz-security-token", credentials.session_token))
        signed.sort()
        self._names = ";".join([name for name, _ in signed])
        lines = [method, _encoded(path), ""]
        lines += [f"{name}:{' '.join(value.split())}" for name, value in signed]
        lines += ["", self._names, _sha256(body).hex()]
        before, date, after = "\n".join(lines).partition("\nx-amz-date:")
        self._before = (before + date).encode("utf-8")
        self._after = after.encode("utf-8")
        self._lines = [f"{name}: {value}" for name, value in signed if name != "x-amz-date"]

    def header_lines(self, timestamp: str) -> "list[str]":
        """Return the headers, including those of the signature.

        Args:
            timestamp: The time as `20261123T080000Z`.
        """
        scope, key = self._keys.get(self._credentials.secret_access_key, timestamp[:8])
        canonical = hashlib.sha256(self._before)
        canonical.update(timestamp.encode("utf-8"))
        canonical.update(self._after)
        signature = key.digest(
            "\n".join([_ALGORITHM, timestamp, scope, canonical.digest().hex()])
        ).hex()
        credential = f"{_ALGORITHM} Credential={self._credentials.access_key_id}/{scope}"
        return self._lines + [
            "x-amz-date: " + timestamp,
            f"authorization: {credential}, SignedHeaders={self._names}, Signature={signature}",
        ]
