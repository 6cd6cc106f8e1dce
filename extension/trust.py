"""Which certificates are trusted: Amazon's own roots, or those of AWS_CA_BUNDLE.

Portable: runs under MicroPython and CPython.
"""

from extension import system

_SHIPPED = "/opt/service-discovery/roots.der"
_SYSTEM = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
)


class CertificateBundle:
    """The bundle that AWS_CA_BUNDLE names: it alone is trusted."""

    def __init__(self, path: str) -> None:
        """Take the bundle's path; it is read when a connection is made."""
        self._path = path

    def roots(self) -> bytes:
        """Read the certificates.

        Raises:
            OSError: They can't be read.
        """
        try:
            return system.read_file(self._path)
        except OSError as error:
            raise OSError(
                error.errno,
                f"AWS_CA_BUNDLE {self._path} can't be read: {system.describe_error(error)}",
            )

    def widen(self) -> bool:
        """Refuse: nothing else is trusted."""
        return False


class ShippedRoots:
    """Amazon's roots, which the layer brings; the system's own where those verify no chain."""

    def __init__(self) -> None:
        """Begin with the shipped ones."""
        self._is_wide = False

    def roots(self) -> bytes:
        """Read the certificates.

        Raises:
            OSError: There are none.
        """
        if not self._is_wide:
            try:
                return system.read_file(_SHIPPED)
            except OSError:
                self._is_wide = True
        found = _first_of(_SYSTEM)
        if found is None:
            raise OSError(2, "no certificates to trust: neither the layer's nor the system's")
        return found

    def widen(self) -> bool:
        """Trust the system's bundle from now on, once, so that a changed chain is no outage."""
        if self._is_wide:
            return False
        self._is_wide = True
        return True


def _first_of(paths: "tuple[str, ...]") -> "bytes | None":
    for path in paths:
        try:
            return system.read_file(path)
        except OSError:
            continue
    return None
