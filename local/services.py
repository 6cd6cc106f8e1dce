"""Services as functions on the emulator, for consumers to call."""

import io
import zipfile
from typing import Any

from local.deployment import python_runtime
from local.emulator import ACCOUNT, Emulator

_CODE = """\
def handler(event, context):
    if event.get("fail"):
        raise ValueError("as asked for")
    return {{"id": event.get("id"), "name": "Ada", "served_by": "{name} {version}"}}
"""


def archive_of(code: str) -> bytes:
    """Return a function's ZIP file, with *code* as its `app.py`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("app.py", code)
    return file.getvalue()


def deploy_service(emulator: Emulator, name: str, version: str) -> str:
    """Deploy a version of a service's function, and return the ARN of its new function version."""
    archive = archive_of(_CODE.format(name=name, version=version))
    client: Any = emulator.functions()
    try:
        deployed = client.update_function_code(FunctionName=name, ZipFile=archive, Publish=True)
    except client.exceptions.ResourceNotFoundException:
        deployed = client.create_function(
            FunctionName=name,
            Runtime=python_runtime(),
            Handler="app.handler",
            Role=f"arn:aws:iam::{ACCOUNT}:role/service",
            Code={"ZipFile": archive},
            Publish=True,
        )
    arn: str = deployed["FunctionArn"]
    # The emulator leaves the version out of a new function's ARN; AWS does not.
    return arn if arn.endswith(f":{deployed['Version']}") else f"{arn}:{deployed['Version']}"
