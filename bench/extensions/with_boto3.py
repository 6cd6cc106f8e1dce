"""The same work done conventionally: boto3 for the table, the standard library for the rest.

Reads needs such as `users==1.x`, asks for all of them in one call, replaces the file, registers,
and checks again on an INVOKE if the file is old enough.
"""

import http.client
import json
import os
import sys
import time
from pathlib import Path

import boto3

_FILE = Path(os.environ["SERVICES_FILE"])
_TABLE = os.environ.get("SERVICE_DISCOVERY_TABLE", "ServiceIndex")
_MAX_AGE_S = int(os.environ.get("SERVICE_DISCOVERY_MAX_AGE", "30"))
_BASE = "/2020-01-01/extension/"


def _resolve(dynamodb: object, needs: list[tuple[str, str]]) -> None:
    keys = [{"service": {"S": name}, "selector": {"S": selector}} for name, selector in needs]
    response = dynamodb.batch_get_item(RequestItems={_TABLE: {"Keys": keys}})  # type: ignore[attr-defined]  # a client is made at run time
    items = {item["service"]["S"]: item for item in response["Responses"][_TABLE]}
    members = {
        name: {
            "requested": selector,
            "version": items[name]["version"]["S"],
            "arn": items[name]["arn"]["S"],
            "status": items[name]["status"]["S"],
        }
        for name, selector in needs
    }
    staging = _FILE.with_name(_FILE.name + ".new")
    staging.write_text(json.dumps(members), encoding="utf-8")
    staging.replace(_FILE)


def main() -> None:
    """Run the extension."""
    pairs = [need.partition("==") for need in os.environ["NEEDED_SERVICES"].split(",")]
    needs = [(name, selector or "latest") for name, _, selector in pairs]
    dynamodb = boto3.client("dynamodb")
    _resolve(dynamodb, needs)
    resolved_at = time.time()
    platform = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    platform.request(
        "POST",
        _BASE + "register",
        json.dumps({"events": ["INVOKE", "SHUTDOWN"]}),
        {"Lambda-Extension-Name": Path(sys.argv[0]).name},
    )
    response = platform.getresponse()
    response.read()
    identifier = {"Lambda-Extension-Identifier": response.headers["Lambda-Extension-Identifier"]}
    while True:
        platform.request("GET", _BASE + "event/next", headers=identifier)
        event = json.load(platform.getresponse())
        if event["eventType"] == "SHUTDOWN":
            return
        if time.time() - resolved_at >= _MAX_AGE_S:
            _resolve(dynamodb, needs)
            resolved_at = time.time()


if __name__ == "__main__":
    main()
