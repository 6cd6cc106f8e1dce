"""Amazon Resource Names, of any service and partition.

Source of the form: AWS General Reference, "Amazon Resource Names (ARNs)":
`arn:partition:service:region:account-id:resource`.
"""

import re
from dataclasses import dataclass

from registry_model.text import quote

MAX_LENGTH = 2_048
_PARTITION = re.compile(r"aws(-[a-z0-9]+)*")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]*")
_REGION = re.compile(r"([a-z]{2,}(-[a-z0-9]+)+)?")
# AWS's own resources have a word in place of an account: `aws` (IAM policies), `cloudfront`,
# `aws-marketplace` and `third-party` (EC2 Image Builder).
_ACCOUNT = re.compile(r"([0-9]{12}|[a-z]+(-[a-z]+)*)?")
_FORM = "arn:partition:service:region:account:resource"


class ArnError(ValueError):
    """A text is not a well-formed ARN; the message names the malformed part."""

    def __init__(self, text: str, reason: str) -> None:
        """Set the message: the quoted text, and its fault."""
        super().__init__(f"{quote(text)} is not an ARN: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """The parts of a well-formed ARN; `str()` returns the text."""

    partition: str
    service: str
    region: str
    account_id: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> "Arn":
        """Parse an ARN.

        Raises:
            ArnError: It is malformed, or longer than 2,048 characters.
        """
        if len(text) > MAX_LENGTH:
            raise ArnError(text, f"it is longer than {MAX_LENGTH:,} characters")
        parts = text.split(":", 5)
        if parts[0] != "arn" or len(parts) != 6:
            raise ArnError(text, f"it should be {_FORM}")
        arn = cls(
            partition=parts[1],
            service=parts[2],
            region=parts[3],
            account_id=parts[4],
            resource=parts[5],
        )
        for name, pattern, part in (
            ("partition", _PARTITION, arn.partition),
            ("service", _SERVICE, arn.service),
            ("Region", _REGION, arn.region),
            ("account", _ACCOUNT, arn.account_id),
        ):
            if not pattern.fullmatch(part):
                raise ArnError(text, f"its {name} {quote(part)} is malformed")
        if not arn.resource:
            raise ArnError(text, "it has no resource")
        if not arn.resource.isprintable() or arn.resource != arn.resource.strip():
            raise ArnError(text, "its resource has characters that are not allowed in an ARN")
        return arn

    def __str__(self) -> str:
        """Return the text that it was parsed from."""
        return (
            f"arn:{self.partition}:{self.service}:{self.region}:{self.account_id}:{self.resource}"
        )
