"""A fake of API Gateway: makes events, and parses the function's responses."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from testing import arns

ARN = arns.ARN
OTHER_ARN = arns.OTHER_ARN
CALLER = "arn:aws:sts::123456789012:assumed-role/deploy/pipeline"
PROBLEM = "application/problem+json"

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True)
class GatewayResponse:
    """A response.

    Attributes:
        document: The body's JSON, or None if it is empty.
        size: The size of Lambda's response in bytes.
    """

    status: int
    headers: dict[str, str]
    document: Any
    size: int

    def pointers(self) -> list[str]:
        """Return the pointers of a request's faults."""
        return [error["pointer"] for error in self.document["errors"]]


Call = Callable[..., GatewayResponse]
Publish = Callable[..., GatewayResponse]


def publication(**members: Any) -> dict[str, Any]:
    """Return a valid publish request, with *members* replaced."""
    return {"name": "users", "version": "1.4.2", "arn": ARN} | members


def arn_of(version: str) -> str:
    """Return the ARN of a version's function."""
    return f"arn:aws:lambda:eu-west-1:123456789012:function:users:{version}"


def event(
    method: str,
    path: str,
    document: object = None,
    *,
    body: str | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    by: str = CALLER,
    base_path: str = "",
) -> dict[str, Any]:
    """Return the event of a REST API with IAM authorization and a proxy integration.

    Args:
        base_path: The base path of a custom domain, which the event's `path` begins with.
    """
    return {
        "resource": "/{proxy+}",
        "path": base_path + path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": _multiple(headers),
        "queryStringParameters": query,
        "multiValueQueryStringParameters": _multiple(query),
        "pathParameters": {"proxy": path[1:]},
        "stageVariables": None,
        "requestContext": {
            "resourceId": "abc123",
            "resourcePath": "/{proxy+}",
            "httpMethod": method,
            "extendedRequestId": "Z1abcExample=",
            "requestTime": "25/Nov/2026:08:00:00 +0000",
            "requestTimeEpoch": 1_795_593_600_000,
            "path": (base_path or "/v1") + path,
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "v1",
            "domainPrefix": "abcdefghij",
            "domainName": "api.example.com"
            if base_path
            else "abcdefghij.execute-api.eu-west-1.amazonaws.com",
            "requestId": "request-1",
            "apiId": "abcdefghij",
            "identity": {
                "cognitoIdentityPoolId": None,
                "accountId": "123456789012",
                "cognitoIdentityId": None,
                "caller": "AROAEXAMPLE:pipeline",
                "sourceIp": "192.0.2.1",
                "principalOrgId": "o-example",
                "accessKey": "ASIAEXAMPLE",
                "cognitoAuthenticationType": None,
                "cognitoAuthenticationProvider": None,
                "userArn": by,
                "userAgent": "curl/8.0",
                "user": "AROAEXAMPLE:pipeline",
            },
        },
        "body": json.dumps(document) if document is not None else body,
        "isBase64Encoded": False,
    }


def response_of(handler: Handler, request: dict[str, Any]) -> GatewayResponse:
    """Invoke the function, and parse its response as API Gateway does."""
    context = SimpleNamespace(
        function_name="f",
        memory_limit_in_mb=128,
        invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f",
        aws_request_id="r",
    )
    response = handler(request, context)
    # Lambda encodes the response as JSON. If that fails, or the JSON is too large, the client gets
    # a 502.
    text = json.dumps(response)
    sent = {
        **(response.get("headers") or {}),
        **{name: values[0] for name, values in (response.get("multiValueHeaders") or {}).items()},
    }
    body = response["body"]
    assert isinstance(body, str)
    document = json.loads(body) if body else None
    return GatewayResponse(response["statusCode"], sent, document, len(text))


def _multiple(texts: dict[str, str] | None) -> dict[str, list[str]] | None:
    return {name: [text] for name, text in texts.items()} if texts else None
