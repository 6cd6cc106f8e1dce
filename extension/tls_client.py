"""TLS over a connected socket: every certificate chain and host name is verified.

Portable: runs under MicroPython (module `tls`, Mbed TLS) and CPython (module `ssl`, OpenSSL).
"""

import errno

from extension import certificates, system
from extension.sockets import CertificateError, TlsError
from extension.system import IS_MICROPYTHON
from registry_model.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from extension.sockets import Socket
    from extension.waiting import Waiter

# Mbed TLS's numbers (ssl.h). Numbers from -255 to -1 are the kernel's.
_LAST_OF_KERNEL = -256
_CLOSED = -0x7280
_ALERT = -0x7780
# A system's bundle may have many certificates that this client cannot use. A message describes at
# most this many.
_MOST_REFUSED = 3


class TlsContext:
    """The trusted certificates and the random generator of one or more connections.

    Attributes:
        context: MicroPython's or CPython's own context.
        refused: Certificates of the bundles that can't be used.
    """

    def __init__(self, context: "Any") -> None:  # noqa: ANN401  # of two unrelated modules
        """Wrap the interpreter's own context."""
        self.context = context
        self.refused: "list[bytes]" = []

    def describe_refused(self) -> str:
        """Return why certificates of the bundles cannot be used, as the end of a message."""
        described = ""
        for certificate in self.refused[:_MOST_REFUSED]:
            reason = certificates.describe_refusal(certificate)
            if reason:
                described += f"; not trusted: {reason}"
        return described


def new_context(bundles: "list[bytes]") -> TlsContext:
    """Return a TLS context that verifies every chain and host name.

    Args:
        bundles: The trusted certificates: PEM, or DER certificates one after the other.

    Raises:
        CertificateError: There is no certificate in *bundles* that can be used.
    """
    if IS_MICROPYTHON:
        import tls

        context = TlsContext(tls.SSLContext(tls.PROTOCOL_TLS_CLIENT))
        context.context.verify_mode = tls.CERT_REQUIRED
    else:
        import ssl

        context = TlsContext(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    loaded = 0
    for bundle in bundles:
        for certificate in certificates.split(bundle):
            # Load them one by one: a system's bundle may have one with an algorithm that this build
            # lacks.
            try:
                _load(context, certificate)
                loaded += 1
            except (OSError, ValueError):
                context.refused.append(certificate)
    if not loaded:
        raise CertificateError("no certificate to trust in the bundle" + context.describe_refused())
    return context


def _load(context: TlsContext, certificate: bytes) -> None:
    if IS_MICROPYTHON:
        context.context.load_verify_locations(certificate)
    elif certificate[:2] == certificates.DER_BEGIN:
        context.context.load_verify_locations(cadata=certificate)
    else:
        context.context.load_verify_locations(cadata=str(certificate, "ascii"))


class TlsStream:
    """A TLS connection, as the HTTP client uses it; each `send` continues the handshake."""

    def __init__(self, context: TlsContext, connection: "Socket", host: str) -> None:
        """Begin TLS on a connected socket.

        Args:
            context: What `new_context` returned.
            connection: The socket.
            host: The name that the peer's certificate must be for.
        """
        self._context = context
        self._stream = context.context.wrap_socket(
            connection, server_hostname=host, do_handshake_on_connect=False
        )
        # CPython's TLS stream replaces its socket, so it is the object to poll.
        self.polled: "Socket" = connection if IS_MICROPYTHON else self._stream

    def send(self, data: "bytes | memoryview") -> int:
        """Send without waiting; return how many bytes were sent.

        Raises:
            OSError: The connection is broken.
            CertificateError: The peer's certificate does not verify.
            TlsError: The peer refuses the handshake.
        """
        if IS_MICROPYTHON:
            try:
                return self._stream.write(data) or 0
            except ValueError as error:
                raise self._certificate_error(str(error))
            except OSError as error:
                raise self._error(error)
        import ssl

        try:
            self._stream.do_handshake()
            return self._stream.send(data)  # type: ignore[no-any-return]  # CPython's
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except ssl.SSLCertVerificationError as error:
            raise self._certificate_error(error.verify_message)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise OSError(errno.ECONNRESET, "connection closed")
        except ssl.SSLError as error:
            raise TlsError(f"the handshake failed: {error.reason or error}")

    def _certificate_error(self, text: str) -> CertificateError:
        reason = "; ".join([line.strip() for line in text.split("\n") if line.strip()])
        return CertificateError(printable(reason) + self._context.describe_refused())

    def _error(self, error: OSError) -> Exception:
        """Return the exception for an error of Mbed TLS."""
        number = error.errno or 0
        if number == _CLOSED:
            return OSError(errno.ECONNRESET, "connection closed")
        if number > _LAST_OF_KERNEL:
            return error
        refused = certificates.describe_refusal(system.refused_certificate())
        if refused:
            return CertificateError(refused)
        text = str(error.args[1]) if len(error.args) > 1 else f"error {number}"
        if number == _ALERT:
            text += " (this client supports TLS 1.2 and 1.3)"
        return TlsError("the handshake failed: " + text)

    def receive(self, size: int) -> "bytes | None":
        """Return up to *size* bytes; b"" at the stream's end, None if none have arrived.

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
        """Wait briefly: the handshake may need data from the peer, or only another call.

        Raises:
            DeadlineError: The deadline has passed.
            Ended: A signal asks the process to end.
        """
        waiter.wait_briefly(self.polled, deadline=deadline)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
