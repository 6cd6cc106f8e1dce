"""Adjusts generated requests where the API's description cannot express a rule."""

from typing import Any

import schemathesis
from hypothesis import strategies as st

_MAX_VERSION = 64
_MAX_METADATA_BYTES = 2_048

_arns = st.builds(
    "arn:{}:lambda:{}:123456789012:function:{}".format,
    st.sampled_from(["aws", "aws-cn", "aws-us-gov"]),
    st.sampled_from(["eu-west-1", "us-gov-west-1", ""]),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True),
)
schemathesis.openapi.format("arn", _arns)
# A cursor is opaque: only a page returns valid ones.
schemathesis.openapi.format("cursor", st.nothing())


@schemathesis.hook
def before_load_schema(_context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Remove the authorization, which the emulator does not require; other tests check it."""
    del raw_schema["security"]


@schemathesis.hook
def filter_query(_context: schemathesis.HookContext, query: Any) -> bool:
    """Skip selectors with too long a version, which no pattern can express."""
    return not _has_long_version(query, "selector")


@schemathesis.hook
def filter_body(_context: schemathesis.HookContext, body: Any) -> bool:
    """Skip bodies whose faults no schema can express.

    These are needs with the same key, versions that are too long, and metadata with too many bytes.
    """
    if _has_long_version(body, "needed") or _has_large_metadata(body):
        return False
    if not isinstance(body, dict) or not isinstance(body.get("needed"), str):
        return True
    entries = [entry.strip() for entry in body["needed"].split(",")]
    keys = [_key(entry) for entry in entries if entry]
    return len(set(keys)) == len(keys)


def _has_long_version(document: Any, member: str) -> bool:
    text = document.get(member) if isinstance(document, dict) else None
    return isinstance(text, str) and any(
        len(entry.partition("==")[2].strip()) > _MAX_VERSION for entry in text.split(",")
    )


def _has_large_metadata(document: Any) -> bool:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict):
        return False
    texts = [text for entry in metadata.items() for text in entry if isinstance(text, str)]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) > _MAX_METADATA_BYTES


def _key(entry: str) -> str:
    head = entry
    for operator in ("==", "~=", ">=", "@"):
        head = head.partition(operator)[0]
    return head.partition(":")[0].strip()
