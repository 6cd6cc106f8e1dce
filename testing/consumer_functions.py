"""Functions with environment variables on the local stack, for the scan of consumers."""

from typing import Any

from local.deployment import python_runtime
from local.emulator import ACCOUNT, Emulator
from local.services import archive_of


def create_consumer(emulator: Emulator, name: str, variables: dict[str, str]) -> None:
    """Create a function with these environment variables; it has no published version."""
    client: Any = emulator.functions()
    client.create_function(
        FunctionName=name,
        Runtime=python_runtime(),
        Handler="app.handler",
        Role=f"arn:aws:iam::{ACCOUNT}:role/consumer",
        Code={"ZipFile": archive_of("def handler(event, context): ...\n")},
        Environment={"Variables": variables},
    )
