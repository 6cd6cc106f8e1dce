"""TLS over a connected socket: every certificate chain and host name is verified.

Portable: runs under MicroPython (module `tls`, Mbed TLS) and CPython (module `ssl`, OpenSSL).
"""

import errno

from extension.sockets import CertificateError
from extension.system import IS_MICROPYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from extension.sockets import Socket
    from extension.waiting import Waiter

    # Of two unrelated modules.
    TlsContext = Any

# A sequence whose length takes two bytes: no certificate is shorter than 256 bytes.
_DER_BEGIN = b"\x30\x82"
_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
_PEM_END = b"-----END CERTIFICATE-----"


def new_context(roots: bytes) -> "TlsContext":
    """Return a TLS context that verifies every chain and host name.

    Args:
        roots: The certificates that are trusted: in PEM, or in DER one behind the other.

    Raises:
        OSError: *roots* are not certificates.
    """
    certificates = _certificates(roots)
    if IS_MICROPYTHON:
        import tls

        context: "TlsContext" = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
    else:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    loaded = 0
    # One at a time: a system's bundle may hold a certificate whose algorithm this build lacks.
    for certificate in certificates:
        try:
            if IS_MICROPYTHON:
                context.load_verify_locations(certificate)
            elif certificate[:2] == _DER_BEGIN:
                context.load_verify_locations(cadata=certificate)
            else:
                context.load_verify_locations(cadata=str(certificate, "ascii"))
            loaded += 1
        except (OSError, ValueError):
            continue
    if not loaded:
        raise OSError(errno.EINVAL, "no certificate to trust in the bundle")
    return context


def _certificates(bundle: bytes) -> "list[bytes]":
    """Split a bundle into its certificates."""
    found = []
    if bundle[:2] == _DER_BEGIN:
        start = 0
        while start < len(bundle):
            end = start + 4 + int.from_bytes(bundle[start + 2 : start + 4], "big")
            found.append(bundle[start:end])
            start = end
        return found
    start = bundle.find(_PEM_BEGIN)
    while start >= 0:
        end = bundle.find(_PEM_END, start)
        if end < 0:
            break
        found.append(bundle[start : end + len(_PEM_END)] + b"\n")
        start = bundle.find(_PEM_BEGIN, end)
    return found


class TlsStream:
    """A TLS connection, as the HTTP client uses it; the handshake goes on with each `send`."""

    def __init__(self, context: "TlsContext", connection: "Socket", host: str) -> None:
        """Begin TLS on a connected socket.

        Args:
            context: What `new_context` returned.
            connection: The socket.
            host: The name that the peer's certificate must be for.
        """
        self._stream = context.wrap_socket(
            connection, server_hostname=host, do_handshake_on_connect=False
        )
        # CPython's TLS stream takes its socket over, and is polled itself.
        self.polled: "Socket" = connection if IS_MICROPYTHON else self._stream

    def send(self, data: "bytes | memoryview") -> int:
        """Send what can go out without waiting; return how many bytes that were.

        Raises:
            OSError: The connection is broken.
            CertificateError: The peer's certificate does not verify.
        """
        if IS_MICROPYTHON:
            try:
                return self._stream.write(data) or 0
            except ValueError as error:
                raise CertificateError(str(error))
        import ssl

        try:
            self._stream.do_handshake()
            return self._stream.send(data)  # type: ignore[no-any-return]  # CPython's
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except ssl.SSLCertVerificationError as error:
            raise CertificateError(error.verify_message)

    def receive(self, size: int) -> "bytes | None":
        """Return up to *size* bytes that have come; b"" at the stream's end, None if none have.

        Raises:
            OSError: The connection is broken.
        """
        if IS_MICROPYTHON:
            return self._stream.read(size)  # type: ignore[no-any-return]  # MicroPython's
        import ssl

        try:
            return self._stream.recv(size)  # type: ignore[no-any-return]  # CPython's
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def wait_to_send(self, waiter: "Waiter", deadline: "float | None") -> None:
        """Wait a short while: the handshake may need to read, or only to be called again.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        waiter.wait_briefly(self.polled, deadline=deadline)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
