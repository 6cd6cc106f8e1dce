"""The certificates to trust: Amazon's roots, or those of AWS_CA_BUNDLE.

Portable: runs under MicroPython and CPython.
"""

from extension import system
from extension.sockets import CertificateError

_SHIPPED = "/opt/service-discovery/roots.der"
_SYSTEM = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
)


class CertificateBundle:
    """The bundle in AWS_CA_BUNDLE; nothing else is trusted."""

    def __init__(self, path: str) -> None:
        """Set the bundle's path; it is read when a connection is made."""
        self._path = path

    def roots(self) -> "list[bytes]":
        """Read the bundle.

        Raises:
            CertificateError: It can't be read.
        """
        try:
            return [system.read_file(self._path)]
        except OSError as error:
            reason = system.describe_error(error)
            raise CertificateError(f"AWS_CA_BUNDLE {self._path} can't be read: {reason}")

    def more_roots(self) -> "list[bytes] | None":
        """Return None: nothing else is trusted."""
        return None


class ShippedRoots:
    """Amazon's roots from the layer; if they fail, the system's bundle as well.

    If AWS changes its certificate chain, the system's bundle verifies the new chain. Reading that
    bundle takes some milliseconds, so each new connection begins with Amazon's roots again.
    """

    def roots(self) -> "list[bytes]":
        """Read Amazon's roots.

        Raises:
            CertificateError: They can't be read.
        """
        try:
            return [system.read_file(_SHIPPED)]
        except OSError:
            raise CertificateError("the layer's certificates can't be read")

    def more_roots(self) -> "list[bytes] | None":
        """Read the system's bundle, and Amazon's roots; None if there is no bundle."""
        for path in _SYSTEM:
            try:
                bundles = [system.read_file(path)]
                break
            except OSError:
                continue
        else:
            return None
        try:
            return self.roots() + bundles
        except CertificateError:
            return bundles
