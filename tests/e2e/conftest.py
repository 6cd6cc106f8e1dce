"""The deployed app: one stack on the emulator for all tests of this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import deployment, execution_environment, processes
from local.deployment import Deployment
from local.emulator import Emulator, credentials, emulator
from local.execution_environment import ExecutionEnvironment
from registry_client.signed_http import RegistryResponse, SignedHttp

_SEEN_WITHIN_S = 180
BUS = "changes"


def arn(service: str, version: str) -> str:
    """Return the ARN of the function of a service's version."""
    return f"arn:aws:lambda:us-east-1:123456789012:function:{service}:{version.replace('.', '-')}"


@dataclass(frozen=True)
class App:
    """The deployed app, with methods to use it."""

    emulator: Emulator
    deployment: Deployment
    registry: SignedHttp

    def publish(self, service: str, version: str, **members: Any) -> RegistryResponse:
        """Publish a version, as a pipeline would."""
        path = f"/services/{service}/versions/{version}"
        return self.registry.send("PUT", path, {"arn": arn(service, version)} | members)

    def wait_for_index(self, service: str, expected: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Wait until the index has exactly these selectors of a service; return their items."""
        items: dict[str, dict[str, Any]] = {}

        def is_there() -> bool:
            items.clear()
            found = self.emulator.dynamodb().query(
                TableName=self.deployment.outputs["IndexTableName"],
                KeyConditionExpression="service = :service",
                ExpressionAttributeValues={":service": {"S": service}},
            )["Items"]
            items.update({item["selector"]["S"]: dict(item) for item in found})
            seen = {selector: item["version"]["S"] for selector, item in items.items()}
            return seen == expected

        processes.wait_until(
            is_there,
            within_s=_SEEN_WITHIN_S,
            what=f"the index has the items {expected} of {service}",
        )
        return items


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Build and deploy the app once, with its events and its scan enabled."""
    folder = tmp_path_factory.mktemp("app")
    parameters = {"EventBusName": BUS, "ConsumerScanSchedule": "rate(1 day)"}
    with emulator(folder / "aws") as aws:
        aws.events().create_event_bus(Name=BUS)
        deployed = deployment.deploy(aws, folder, deployment.build(aws, folder), parameters)
        yield App(aws, deployed, deployed.registry())


Run = Callable[..., ExecutionEnvironment]


@pytest.fixture
def run(app: App, tmp_path: Path) -> Iterator[Run]:
    """Run a sample function with the built layer: `run("shell", "users,billing==1.x")`.

    Its services file is `services.json` in a folder of *tmp_path* that has the function's name.
    """
    with ExitStack() as stack:

        def _run(
            runtime: str, needs: str, *, name: str = "consumer", **variables: str
        ) -> ExecutionEnvironment:
            folder = tmp_path / name
            environment = {
                **credentials(),
                "AWS_ENDPOINT_URL_DYNAMODB": app.emulator.url,
                "NEEDED_SERVICES": needs,
                "SERVICES_FILE": str(folder / "services.json"),
                "SERVICE_DISCOVERY_TABLE": app.deployment.outputs["IndexTableName"],
                "SERVICE_DISCOVERY_MAX_AGE": "0",
                **variables,
            }
            function = (
                execution_environment.python_function(name, "app.handler", environment)
                if runtime == "python"
                else execution_environment.shell_function(name, environment)
            )
            return stack.enter_context(
                execution_environment.execution_environment(function, app.deployment.layer, folder)
            )

        yield _run
