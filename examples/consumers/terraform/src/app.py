"""Greets a user whom the service `users` knows."""

import json

import boto3
from service_discovery import ServiceDiscoveryError, get_service

lambda_client = boto3.client("lambda")


def handler(event, _context):
    """Return a greeting, and the version of `users` that was called."""
    try:
        users = get_service("users")
    except ServiceDiscoveryError as error:
        # The message says what to do. The caller gets this function's own error.
        return {"status": 503, "reason": str(error)}
    response = lambda_client.invoke(
        FunctionName=users.arn, Payload=json.dumps({"id": event["user"]})
    )
    user = json.load(response["Payload"])
    return {"status": 200, "greeting": f"Hello, {user['name']}!", "users": users.version}
