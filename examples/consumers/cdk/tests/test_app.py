"""Unit tests: `python -m pytest` in the folder above, without AWS and without the layer."""

import io
import json

import app
import boto3
import pytest
from botocore.stub import Stubber
from service_discovery.testing import services

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users:42"


@pytest.fixture
def users(monkeypatch):
    """Replace the service `users` by a stub that expects one call."""
    client = boto3.client(
        "lambda", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    monkeypatch.setattr(app, "lambda_client", client)
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_greets_the_user(users):
    payload = io.BytesIO(json.dumps({"name": "Ada"}).encode())
    expected = {"FunctionName": ARN, "Payload": json.dumps({"id": 7})}
    users.add_response("invoke", {"StatusCode": 200, "Payload": payload}, expected)

    with services({"users": {"arn": ARN, "version": "1.4.2"}}):
        answer = app.handler({"user": 7}, None)

    assert answer == {"status": 200, "greeting": "Hello, Ada!", "users": "1.4.2"}


@pytest.mark.usefixtures("users")
def test_says_why_there_is_no_service():
    with services({"users": {"status": "missing"}}):
        answer = app.handler({"user": 7}, None)

    assert answer["status"] == 503
    assert "NEEDED_SERVICES" in answer["reason"]
