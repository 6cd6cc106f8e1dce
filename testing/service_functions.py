"""Functions on the local stack: services for consumers to call, and consumers for a scan."""

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
    arn = _create(emulator, name, Publish=True)
    return arn if arn.endswith(":1") else f"{arn}:1"


def create_consumer(emulator: Emulator, name: str, variables: dict[str, str]) -> None:
    """Create a function with these environment variables on the emulator."""
    _create(emulator, name, Environment={"Variables": variables})


def _create(emulator: Emulator, name: str, **properties: Any) -> str:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", _CODE)
    created: Any = emulator.functions().create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/service",
        Code={"ZipFile": code.getvalue()},
        **properties,
    )
    arn: str = created["FunctionArn"]
    return arn
