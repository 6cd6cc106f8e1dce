"""A service as a function on the local stack, for consumers to call."""

import io
import zipfile
from typing import Any

from local.emulator import Emulator

_CODE = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("as asked for")
    return {"name": "Ada", "id": event.get("id"), "called": context.invoked_function_arn}
"""


def publish_function(emulator: Emulator, name: str) -> str:
    """Create a function on the emulator, and return the ARN of its first version."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", _CODE)
    client = emulator.functions()
    created: Any = client.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/service",
        Code={"ZipFile": code.getvalue()},
        Publish=True,
    )
    arn: str = created["FunctionArn"]
    return arn if arn.endswith(":1") else f"{arn}:1"
