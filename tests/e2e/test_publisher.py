"""Templates that publish, deployed to the local stack by its CloudFormation."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import deployment, processes
from local.processes import LocalStackError
from tests.conftest import ROOT
from tests.e2e.conftest import App, Run, arn

_ENDED_WITHIN_S = 180
_EXAMPLES = ROOT / "examples/services"


class TemplateStack:
    """A stack with one published version.

    To roll back an update, the emulator sends only a Delete for the failed update's version, and no
    Update; tests/functional/publisher has CloudFormation's order.
    """

    def __init__(self, app: App, name: str) -> None:
        """Prepare a stack that is not created yet."""
        self._app = app
        self._client = app.emulator.cloudformation()
        self.name = name

    def create(self, properties: dict[str, Any], *, then_fails: bool = False) -> str:
        """Create the stack; return its status."""
        self._client.create_stack(
            StackName=self.name, TemplateBody=self._template(properties, then_fails=then_fails)
        )
        return self._ended()

    def update(self, properties: dict[str, Any], *, then_fails: bool = False) -> str:
        """Update the stack; return its status."""
        self._client.update_stack(
            StackName=self.name, TemplateBody=self._template(properties, then_fails=then_fails)
        )
        return self._ended()

    def delete(self) -> str:
        """Delete the stack; return its status."""
        (stack,) = self._client.describe_stacks(StackName=self.name)["Stacks"]
        self._client.delete_stack(StackName=self.name)
        return self._ended(stack["StackId"])

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        (stack,) = self._client.describe_stacks(StackName=self.name)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}

    def reasons(self) -> str:
        """Return every reason in the stack's events."""
        events = self._client.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason", "") for event in events)

    def _template(self, properties: dict[str, Any], *, then_fails: bool) -> str:
        token = self._app.deployment.outputs["PublisherFunctionArn"]
        resources: dict[str, Any] = {
            "Published": {
                "Type": "Custom::ServiceVersion",
                "Properties": {"ServiceToken": token, **properties},
            }
        }
        if then_fails:
            resources["Failing"] = {"Type": "AWS::No::Such", "DependsOn": "Published"}
        attributes = {
            name: {"Value": {"Fn::GetAtt": ["Published", name]}}
            for name in ("Version", "Arn", "Revision")
        }
        outputs = {"Id": {"Value": {"Ref": "Published"}}, **attributes}
        return json.dumps({"Resources": resources, "Outputs": outputs})

    def _ended(self, name: str = "") -> str:
        status = ""

        def has_ended() -> bool:
            nonlocal status
            found = self._client.describe_stacks(StackName=name or self.name)["Stacks"]
            status = found[0]["StackStatus"]
            return not status.endswith("IN_PROGRESS")

        processes.wait_until(
            has_ended, within_s=_ENDED_WITHIN_S, what=f"the stack {self.name} has a final status"
        )
        return status


@pytest.fixture
def stack(app: App, request: pytest.FixtureRequest) -> TemplateStack:
    """Return a stack that is not created yet."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-")
    return TemplateStack(app, name)


def _of(service: str, version: str, **others: Any) -> dict[str, Any]:
    return {"Name": service, "Version": version, "Arn": arn(service, version), **others}


def _versions(app: App, service: str) -> dict[str, str]:
    page = app.registry.send("GET", f"/services/{service}/versions").document
    return {each["version"]: each["status"] for each in page["versions"]}


def _service(app: App, service: str) -> dict[str, Any]:
    found: dict[str, Any] = app.registry.send("GET", f"/services/{service}").document
    return found


def test_stack_publishes_and_follows_its_updates(app: App, stack: TemplateStack) -> None:
    created = stack.create(_of("t-life", "1.0.0", Channel="stable", Metadata={"build": 7}))

    assert created == "CREATE_COMPLETE"
    assert stack.outputs() == {
        "Id": "t-life@1.0.0",
        "Version": "1.0.0",
        "Arn": arn("t-life", "1.0.0"),
        "Revision": "1",
    }
    assert _service(app, "t-life")["latest"]["metadata"] == {"build": "7"}
    assert stack.update(_of("t-life", "1.1.0", Channel="stable")) == "UPDATE_COMPLETE"
    assert _versions(app, "t-life") == {"1.1.0": "active", "1.0.0": "active"}
    assert _service(app, "t-life")["channels"] == {"stable": "1.1.0"}
    app.wait_for_index(
        "t-life",
        {
            **dict.fromkeys(("latest", "1.x", "1.1.x", "1.1.0", "@stable"), "1.1.0"),
            **dict.fromkeys(("1.0.x", "1.0.0"), "1.0.0"),
        },
    )


def test_failed_update_leaves_latest_as_it_was(app: App, stack: TemplateStack) -> None:
    stack.create(_of("t-back", "1.0.0", Channel="stable"))

    status = stack.update(_of("t-back", "2.0.0", Channel="stable"), then_fails=True)

    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert _versions(app, "t-back") == {"2.0.0": "yanked", "1.0.0": "active"}
    assert _service(app, "t-back")["latest"]["version"] == "1.0.0"
    assert _service(app, "t-back")["channels"] == {"stable": "1.0.0"}
    record = app.registry.send("GET", "/services/t-back/versions/2.0.0").document
    assert record["reason"] == f"rolled back: {stack.name}"


def test_failed_creation_is_undone_and_can_be_repeated(app: App, stack: TemplateStack) -> None:
    status = stack.create(_of("t-first", "1.0.0"), then_fails=True)

    assert status == "ROLLBACK_COMPLETE"
    assert _versions(app, "t-first") == {"1.0.0": "yanked"}
    stack.delete()
    assert stack.create(_of("t-first", "1.0.0", Arn=arn("t-first", "7"))) == "CREATE_COMPLETE"
    assert _service(app, "t-first")["latest"]["arn"] == arn("t-first", "7")


def test_same_version_with_another_arn_is_refused(app: App, stack: TemplateStack) -> None:
    stack.create(_of("t-same", "1.0.0"))

    status = stack.update(_of("t-same", "1.0.0", Arn=arn("t-same", "7")))

    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert arn("t-same", "1.0.0") in stack.reasons()
    assert _service(app, "t-same")["latest"]["arn"] == arn("t-same", "1.0.0")


def test_another_name_is_a_replacement(app: App, stack: TemplateStack) -> None:
    stack.create(_of("t-old", "1.0.0", OnDelete="Delete"))

    assert stack.update(_of("t-new", "1.0.0", OnDelete="Delete")) == "UPDATE_COMPLETE"
    assert stack.outputs()["Id"] == "t-new@1.0.0"
    assert _versions(app, "t-old") == _versions(app, "t-new") == {"1.0.0": "active"}


@pytest.mark.parametrize(
    ("on_delete", "left"),
    [("Retain", {"1.0.0": "active"}), ("Yank", {"1.0.0": "yanked"}), ("Delete", {})],
)
def test_deleted_stack_follows_on_delete(
    app: App, stack: TemplateStack, on_delete: str, left: dict[str, str]
) -> None:
    service = f"t-{on_delete.lower()}"
    stack.create(_of(service, "1.0.0", OnDelete=on_delete, Channel="beta"))

    assert stack.delete() == "DELETE_COMPLETE"
    assert _versions(app, service) == left


def test_wrong_properties_are_in_the_stacks_events(stack: TemplateStack) -> None:
    """The failed stack's events show all wrong properties."""
    status = stack.create({"Name": "t wrong", "Version": "v1", "Chanel": "beta"})

    assert status == "ROLLBACK_COMPLETE"
    for said in (
        "Chanel is not a property",
        "did you mean Channel?",
        "Arn is missing",
        "'t wrong'",
    ):
        assert said in stack.reasons()


def test_terraforms_invocation_publishes(app: App) -> None:
    """The request is the one that the provider sends for `lifecycle_scope = "CRUD"`."""
    functions = app.emulator.functions()
    payload = _of("t-terraform", "1.0.0") | {"tf": {"action": "create", "prev_input": None}}

    invoked = functions.invoke(
        FunctionName=app.deployment.outputs["PublisherFunctionArn"], Payload=json.dumps(payload)
    )

    assert "FunctionError" not in invoked
    result = json.loads(invoked["Payload"].read())
    assert (result["PhysicalResourceId"], result["Revision"]) == ("t-terraform@1.0.0", "1")


Example = Callable[..., dict[str, str]]


@pytest.fixture
def example(app: App, tmp_path: Path) -> Iterator[Example]:
    """Deploy the SAM example with some code: `example("Ada")`, or with a resource that fails."""
    folder = shutil.copytree(_EXAMPLES, tmp_path / "services")
    template, source = folder / "sam/template.yaml", folder / "users/app.py"
    # A service of its own, since other tests publish `users` to the same registry.
    original = template.read_text("utf-8").replace("Name: users\n", "Name: sam-users\n")
    code = source.read_text("utf-8")
    numbers = itertools.count(1)

    def _deploy(name: str, *, then_fails: bool = False) -> dict[str, str]:
        # The emulator's `Ref` of a function version is the ARN without the version's number.
        version = f'!Sub "${{UsersFunction.Arn}}:{next(numbers)}"'
        failing = "  Failing:\n    Type: AWS::No::Such\n    DependsOn: UsersPublished\n"
        text = original.replace("\nOutputs:", f"{failing}\nOutputs:") if then_fails else original
        template.write_text(text.replace("!Ref UsersFunction.Version", version), "utf-8")
        source.write_text(code.replace("Ada", name), "utf-8")
        return deployment.deploy_template(app.emulator, tmp_path, template, stack="users-example")

    yield _deploy
    app.emulator.cloudformation().delete_stack(StackName="users-example")


def test_consumer_of_the_sam_example_reads_the_right_arn_throughout(
    example: Example, run: Run
) -> None:
    """The service is deployed, updated and rolled back; the consumer is deployed only once."""
    first = example("Ada")
    consumer = run("shell", "users:sam-users==1.x")

    def wait_for(expected: dict[str, str]) -> None:
        def is_read() -> bool:
            services = consumer.invoke().payload["now"]
            member = services.get("users", {})
            return bool(member.get("arn") == expected["PublishedArn"])

        processes.wait_until(is_read, within_s=60, what=f"the consumer reads {expected}")

    wait_for(first)
    second = example("Grace")
    assert second["PublishedArn"] != first["PublishedArn"]
    assert second["PublishedArn"].rpartition(":")[2] == second["PublishedVersion"].split(".")[1]
    wait_for(second)
    with pytest.raises(LocalStackError):
        example("Joan", then_fails=True)
    wait_for(second)
