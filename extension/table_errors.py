"""Messages for failed requests to the index table, with advice, and whether to retry.

Portable: runs under MicroPython and CPython. Source of the codes: DynamoDB Developer Guide, "Error
handling with DynamoDB", and the AWS SDKs' lists of errors to retry.
"""

from extension.http_client import CONNECTION, LOOK_UP, TLS, BrokenError
from registry_model.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from extension.http_client import HttpClient
    from extension.waiting import DeadlineError

# Whether a retry may succeed: never, only the first one, or any.
NEVER = 0
ONCE = 1
LATER = 2

_LONGEST_MESSAGE = 400
_TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)
_THROTTLED = (
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
)
_TRANSIENT = (
    "InternalServerError",
    "InternalServerErrorException",
    "LimitExceededException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "TransactionInProgressException",
)
_EXPIRED = ("RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed")
# These have other causes, too: retry them only if the server's clock differs from this one.
_BAD_SIGNATURE = ("AuthFailure", "InvalidSignatureException", "SignatureDoesNotMatch")
_EXPIRED_MESSAGES = ("Signature expired", "Signature not yet current")
_ADVICE_BY_CODE = {
    "AccessDeniedException": "attach the registry's policy (the stack's output IndexReadPolicyArn) "
    "to the function's role",
    "ResourceNotFoundException": "check SERVICE_DISCOVERY_TABLE, and that the table is in this "
    "Region and account; a table of another account or Region is named by its ARN",
    "ExpiredTokenException": "the credentials in the function's environment have expired",
    "UnrecognizedClientException": "the credentials are not valid in this Region or partition",
    "InvalidSignatureException": "the secret key does not belong to the access key, or a proxy "
    "on the way changes requests",
}
_NETWORK_ADVICE = (
    "in a VPC: is there a gateway endpoint for DynamoDB or a NAT gateway, and does the security "
    "group allow port 443 out?"
)
_PROXY_ADVICE = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
CREDENTIALS_ADVICE = (
    "Lambda sets AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN: "
    "does the function's configuration set one of them?"
)
_LOOK_UP_ADVICE = "check the Region and AWS_ENDPOINT_URL; in a VPC: is DNS support on?"
_CERTIFICATE_ADVICE = (
    "if a proxy or an endpoint of your own answers here, AWS_CA_BUNDLE has to name its CA's "
    "certificates; it replaces Amazon's roots"
)


class TableError(Exception):
    """The table could not be read; the message has the reason, and what to do.

    Attributes:
        retry: Whether a retry may succeed: `NEVER`, `ONCE` or `LATER`.
        is_throttled: Whether DynamoDB has throttled the request.
    """

    def __init__(self, message: str, retry: int, *, is_throttled: bool = False) -> None:
        """Set the message, and whether to retry."""
        super().__init__(message)
        self.retry = retry
        self.is_throttled = is_throttled


def with_advice(reason: str, advice: str) -> str:
    """Return *reason*, and what to do about it."""
    return f"{reason} ({advice})" if advice else reason


def describe_network_fault(client: "HttpClient", error: "BrokenError | DeadlineError") -> str:
    """Return the stage and the peer of a failed request, the reason, and what to do about it."""
    advice = ""
    if client.stage == LOOK_UP:
        advice = _PROXY_ADVICE if client.has_proxy else _LOOK_UP_ADVICE
    elif client.stage == CONNECTION:
        advice = _PROXY_ADVICE if client.has_proxy else _NETWORK_ADVICE
    elif client.stage == TLS and isinstance(error, BrokenError) and not error.can_retry:
        advice = _CERTIFICATE_ADVICE
    return f"{client.describe_stage()}: {with_advice(printable(str(error)), advice)}"


def code_and_message(document: "dict[str, object]", secrets: "Sequence[str]") -> "tuple[str, str]":
    """Return the code and the message of DynamoDB's error document.

    The message is shortened to one printable line. DynamoDB's message on a wrong signature repeats
    the signed headers, including the session token: *secrets* are replaced.
    """
    code = _first_text(document, ("__type", "code")).split("#")[-1].split(":")[0]
    message = _first_text(document, ("message", "Message")).split("\n")[0]
    for secret in secrets:
        if secret:
            message = message.replace(secret, "***")
    return printable(code[:_LONGEST_MESSAGE]), printable(message[:_LONGEST_MESSAGE])


def _first_text(document: "dict[str, object]", names: "tuple[str, ...]") -> str:
    for name in names:
        value = document.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def is_expired(code: str, message: str) -> bool:
    """Return whether an error means that a signature's time is in the past or in the future."""
    return code in _EXPIRED or message.startswith(_EXPIRED_MESSAGES)


def may_be_clock_skew(code: str, message: str) -> bool:
    """Return whether a wrong clock may have caused an error."""
    return is_expired(code, message) or code in _BAD_SIGNATURE


def refusal(table: str, status: int, code: str, message: str) -> TableError:
    """Return the exception for a response with an error.

    Args:
        table: The table, its Region and the endpoint, for the message.
        status: The response's status.
        code: DynamoDB's error code; empty if there is none.
        message: DynamoDB's message; empty if there is none.
    """
    text = f"{table}: status {status}"
    if code:
        text += f", {code}"
    if message:
        text += f": {message}"
    text = with_advice(text, _ADVICE_BY_CODE.get(code, ""))
    if status == 429 or code in _THROTTLED:
        return TableError(text, LATER, is_throttled=True)
    if status in _TRANSIENT_STATUS or status > 504 or code in _TRANSIENT:
        return TableError(text, LATER)
    if is_expired(code, message):
        return TableError(text, LATER)
    return TableError(text, ONCE if code == "UnrecognizedClientException" else NEVER)
