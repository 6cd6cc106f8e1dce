"""Calls `users` from a function that starts from a snapshot."""

import json

import boto3
from service_discovery import get_service

# Created before the snapshot: this is fine for a client, but not for an ARN.
lambda_client = boto3.client("lambda")


def handler(event, _context):
    """Return a greeting. The ARN is read here, since a snapshot may be weeks old."""
    users = get_service("users", max_age=300)
    response = lambda_client.invoke(
        FunctionName=users.arn, Payload=json.dumps({"id": event["user"]})
    )
    return {"greeting": f"Hello, {json.load(response['Payload'])['name']}!"}
