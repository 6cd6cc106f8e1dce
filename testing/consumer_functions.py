"""Functions with environment variables on the local stack, for the scan of consumers."""

import io
import zipfile
from typing import Any

from local.deployment import python_runtime
from local.emulator import ACCOUNT, Emulator


def create_consumer(emulator: Emulator, name: str, variables: dict[str, str]) -> None:
    """Create a function with these environment variables; it has no published version."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): ...\n")
    client: Any = emulator.functions()
    client.create_function(
        FunctionName=name,
        Runtime=python_runtime(),
        Handler="app.handler",
        Role=f"arn:aws:iam::{ACCOUNT}:role/consumer",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": variables},
    )
