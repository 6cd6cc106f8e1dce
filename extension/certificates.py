"""Splits bundles of certificates in PEM and DER, and finds out why a certificate is refused.

Portable: runs under MicroPython and CPython. Source: RFC 5280, section 4.1 (structure) and 4.2
(extensions); RFC 7468 (PEM).
"""

import binascii

from registry_model.text import quote

# A SEQUENCE with a length in two bytes: a certificate's content has 256 to 65,535 bytes.
DER_BEGIN = b"\x30\x82"
_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
_PEM_END = b"-----END CERTIFICATE-----"
_SEQUENCE = 0x30
_OID = 0x06
_BOOLEAN = 0x01
_VERSION = 0xA0
_EXTENSIONS = 0xA3
# Object identifiers: of names (common name, organizational unit, organization), and the first bytes
# of an extension's (2.5.29). The extensions are listed by their last number.
_NAMES = (b"\x55\x04\x03", b"\x55\x04\x0b", b"\x55\x04\x0a")
_EXTENSION = b"\x55\x1d"
_SUPPORTED = (15, 17, 19, 37)
_EXTENSION_NAMES = {
    18: "issuerAltName",
    30: "nameConstraints",
    32: "certificatePolicies",
    33: "policyMappings",
    36: "policyConstraints",
    54: "inhibitAnyPolicy",
}


def split(bundle: bytes) -> "list[bytes]":
    """Return the certificates of a bundle: PEM, or DER certificates one after the other."""
    found = []
    if bundle[:2] == DER_BEGIN:
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


def describe_refusal(certificate: bytes) -> str:
    """Return a description of a certificate's unsupported critical extensions.

    A client must reject a certificate with a critical extension that it does not recognize
    (RFC 5280, section 4.2).

    Args:
        certificate: In PEM or DER; it may be malformed.

    Returns:
        A text with the certificate's subject and the extensions; empty if there are none.
    """
    try:
        der = certificate if certificate[:2] == DER_BEGIN else _decoded(certificate)
        subject, extensions = _parse(der)
    except (IndexError, ValueError):
        return ""
    if not extensions:
        return ""
    return (
        f"the certificate {quote(subject)} has the critical extension {', '.join(extensions)}, "
        "which this client does not support"
    )


def _decoded(pem: bytes) -> bytes:
    lines = pem.replace(b"\r", b"").split(b"\n")
    return binascii.a2b_base64(b"".join([line for line in lines if line[:5] != b"-----"]))


def _element(der: bytes, start: int) -> "tuple[int, int, int]":
    """Return the tag of the element at *start*, and where its content begins and ends."""
    length = der[start + 1]
    begin = start + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[begin : begin + size], "big")
        begin += size
    if begin + length > len(der):
        raise ValueError("an element is truncated")
    return der[start], begin, begin + length


def _elements(der: bytes, begin: int, end: int) -> "list[tuple[int, int, int]]":
    found = []
    while begin < end:
        element = _element(der, begin)
        found.append(element)
        begin = element[2]
    return found


def _parse(der: bytes) -> "tuple[str, list[str]]":
    """Return a certificate's subject, and the critical extensions that are not supported."""
    _, begin, end = _element(der, 0)
    _, begin, end = _element(der, begin)
    fields = _elements(der, begin, end)
    if fields[0][0] == _VERSION:
        fields = fields[1:]
    # Serial number, signature, issuer, validity, subject.
    subject = _subject(der, fields[4])
    extensions: "list[str]" = []
    for tag, start, _ in fields:
        if tag == _EXTENSIONS:
            _, begin, end = _element(der, start)
            for _, extension_begin, extension_end in _elements(der, begin, end):
                extensions += _unsupported(der, extension_begin, extension_end)
    return subject, extensions


def _subject(der: bytes, field: "tuple[int, int, int]") -> str:
    names: "dict[bytes, str]" = {}
    for _, begin, end in _elements(der, field[1], field[2]):
        for _, pair_begin, pair_end in _elements(der, begin, end):
            kind, value = _elements(der, pair_begin, pair_end)[:2]
            names[der[kind[1] : kind[2]]] = str(der[value[1] : value[2]], "utf-8")
    for kind_of_name in _NAMES:
        if kind_of_name in names:
            return names[kind_of_name]
    return "without a name"


def _unsupported(der: bytes, begin: int, end: int) -> "list[str]":
    parts = _elements(der, begin, end)
    identifier = der[parts[0][1] : parts[0][2]]
    is_critical = parts[1][0] == _BOOLEAN and der[parts[1][1]] != 0
    if not is_critical:
        return []
    if identifier[:2] != _EXTENSION or len(identifier) != 3:
        return [str(binascii.hexlify(identifier), "ascii")]
    number = identifier[2]
    return [] if number in _SUPPORTED else [_EXTENSION_NAMES.get(number, f"2.5.29.{number}")]
