"""Unit tests: `python -m pytest` in the folder above, without AWS and without the layer."""

import io

import app
import pytest
from service_discovery import StaleServiceError
from service_discovery.testing import services

OLD = "arn:aws:lambda:eu-west-1:123456789012:function:users:41"
NEW = "arn:aws:lambda:eu-west-1:123456789012:function:users:42"


class Users:
    """A stub of the Lambda client, which records the ARNs that it called."""

    def __init__(self):
        self.called = []

    def invoke(self, *, FunctionName, Payload):  # noqa: ARG002, N803  # boto3's names
        self.called.append(FunctionName)
        return {"Payload": io.BytesIO(b'{"name": "Ada"}')}


def test_reads_the_arn_again_after_the_snapshot(monkeypatch):
    users = Users()
    monkeypatch.setattr(app, "lambda_client", users)

    for arn in (OLD, NEW):
        with services({"users": arn}):
            assert app.handler({"user": 7}, None) == {"greeting": "Hello, Ada!"}

    assert users.called == [OLD, NEW]


def test_refuses_an_arn_as_old_as_the_snapshot():
    with services({"users": OLD}, age=7 * 86400), pytest.raises(StaleServiceError):
        app.handler({"user": 7}, None)
