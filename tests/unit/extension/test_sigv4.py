"""Signatures, against botocore, for generated requests."""

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from extension.sigv4 import Credentials, SignedRequest, SigningKeys

_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=90)


@given(
    key_id=st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True),
    secret=_TEXT,
    token=st.just("") | _TEXT,
    path=st.sampled_from(["/", "/a/b", "/with~tilde", "/a%20b"]),
    body=st.binary(max_size=200),
    region=st.from_regex(r"[a-z]{2}-[a-z]{3,9}-[0-9]", fullmatch=True),
)
def test_signature_is_botocores(
    key_id: str, secret: str, token: str, path: str, body: bytes, region: str
) -> None:
    """The signature is compared with botocore's, since emulators check no signatures."""
    headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("host", "dynamodb.example:8000"),
        ("x-amz-target", "DynamoDB_20120810.BatchGetItem"),
    ]
    keys = SigningKeys(region, "dynamodb")
    # Another day's: the cached key must not be used.
    keys.get(secret, "20261122")

    prepared = SignedRequest(
        headers,
        method="POST",
        path=path,
        body=body,
        keys=keys,
        credentials=Credentials(key_id, secret, token),
    )
    # The earlier signature must not affect the next one.
    prepared.header_lines("20261123T075959Z")

    lines = prepared.header_lines("20261123T080000Z")

    signed = {name: value for name, _, value in [line.partition(": ") for line in lines]}
    assert ("x-amz-security-token" in signed) is bool(token)

    request = AWSRequest(
        method="POST",
        url="http://dynamodb.example:8000" + path,
        data=body,
        headers={name: value for name, value in signed.items() if name != "authorization"},
    )
    request.context["timestamp"] = "20261123T080000Z"
    oracle = SigV4Auth(BotocoreCredentials(key_id, secret, token or None), "dynamodb", region)
    canonical = oracle.canonical_request(request)
    signature = oracle.signature(oracle.string_to_sign(request, canonical), request)
    assert signed["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={oracle.scope(request)}, "
        f"SignedHeaders={oracle.signed_headers(oracle.headers_to_sign(request))}, "
        f"Signature={signature}"
    )
