"""Each change of a service as an event on the stack's bus, and the examples of rules."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from samcli.yamlhelper import yaml_parse

from local import processes
from tests.conftest import ROOT
from tests.e2e.conftest import BUS, App, arn

pytestmark = pytest.mark.xdist_group("e2e")

_PATTERN = {"source": ["service-discovery"], "detail": {"service": ["tides"]}}


@pytest.fixture
def queue(app: App) -> Iterator[str]:
    """Return the URL of a queue; a rule of the bus delivers the events of `tides` to it."""
    url, arn_of_queue = _queue(app, "tides")
    _put_rule(app, "tides", _PATTERN, {"Id": "queue", "Arn": arn_of_queue})
    yield url
    _delete_rule(app, "tides", "queue")


def _queue(app: App, name: str) -> tuple[str, str]:
    """Create a queue; return its URL and its ARN."""
    queues = app.emulator.queues()
    url = queues.create_queue(QueueName=name)["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, attributes["Attributes"]["QueueArn"]


def _put_rule(app: App, name: str, pattern: dict[str, Any], target: dict[str, Any]) -> None:
    events = app.emulator.events()
    events.put_rule(Name=name, EventBusName=BUS, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, EventBusName=BUS, Targets=[target])


def _delete_rule(app: App, name: str, target: str) -> None:
    events = app.emulator.events()
    events.remove_targets(Rule=name, EventBusName=BUS, Ids=[target])
    events.delete_rule(Name=name, EventBusName=BUS)


def _messages(app: App, queue: str) -> list[Any]:
    """Read and delete the messages in a queue."""
    queues = app.emulator.queues()
    response = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    messages = response.get("Messages", [])
    for message in messages:
        queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def _received(app: App, queue: str, count: int) -> dict[int, dict[str, Any]]:
    """Wait for the events of *count* changes; return them by revision."""
    found: dict[int, dict[str, Any]] = {}

    def is_all() -> bool:
        for event in _messages(app, queue):
            revision = event["detail"]["revision"]
            # Events are sent at least once; a repeated one has the same content.
            assert found.setdefault(revision, event)["detail"] == event["detail"]
        return len(found) == count

    processes.wait_until(is_all, within_s=180, what=f"the queue has {count} events")
    return found


def test_each_change_is_an_event_in_a_rules_queue(app: App, queue: str) -> None:
    """Each of the six kinds of change goes from the request through stream, index and bus."""
    path = "/services/tides"
    requests: list[tuple[str, str, dict[str, str] | None]] = [
        ("PUT", f"{path}/versions/1.0.0", {"arn": arn("tides", "1.0.0")}),
        ("PUT", f"{path}/versions/1.1.0", {"arn": arn("tides", "1.1.0"), "channel": "beta"}),
        ("PUT", f"{path}/channels/beta", {"version": "1.0.0"}),
        ("PATCH", f"{path}/versions/1.1.0", {"status": "yanked", "reason": "broken"}),
        ("PATCH", f"{path}/versions/1.1.0", {"status": "active"}),
        ("DELETE", f"{path}/channels/beta", None),
        ("DELETE", f"{path}/versions/1.1.0", None),
    ]
    statuses = [app.registry.send(*request).status for request in requests]
    assert statuses == [201, 201, 200, 200, 200, 204, 204]

    received = _received(app, queue, len(requests))

    history = app.registry.send("GET", f"{path}/history").document["events"]
    assert len(history) == len(requests)
    types = {
        "publish": "Service Version Published",
        "yank": "Service Version Yanked",
        "activate": "Service Version Activated",
        "delete": "Service Version Deleted",
        "set-channel": "Service Channel Set",
        "delete-channel": "Service Channel Deleted",
    }
    seen_types = set()
    for change in history:
        event = received[change["revision"]]
        latest = event["detail"].pop("latest")
        # An event is sent after the index has changed: it has this change's latest or a later one.
        assert latest in {"1.0.0", "1.1.0"}
        assert event["detail"] == {"service": "tides", **change}
        assert event["source"] == "service-discovery"
        assert event["detail-type"] == types[change["action"]]
        assert event["resources"] == (
            [arn("tides", change["version"])] if "version" in change else []
        )
        assert event["time"]
        seen_types.add(event["detail-type"])
    assert seen_types == set(types.values())


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """Run a chat's webhook; return its URL, and the list of what is posted to it."""
    posted: list[Any] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.headers["Content-Type"].split(";")[0], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Do not write to the test's output."""

    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/services/T/B/x", posted
        server.shutdown()
        thread.join()


def _resources(example: str, **parameters: str) -> dict[str, dict[str, Any]]:
    """Return the properties of an example's resources, with its parameters filled in."""
    template = yaml_parse((ROOT / "examples/events" / example).read_text(encoding="utf-8"))

    def filled(value: Any) -> Any:
        if isinstance(value, dict) and value.get("Ref") in parameters:
            return parameters[value["Ref"]]
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        return [filled(each) for each in value] if isinstance(value, list) else value

    return {name: filled(each["Properties"]) for name, each in template["Resources"].items()}


def test_example_rules_post_to_a_chat_and_start_a_pipeline(
    app: App, webhook: tuple[str, list[Any]]
) -> None:
    """The emulator's CloudFormation has no API destinations, so the test creates one itself."""
    url, posted = webhook
    events = app.emulator.events()
    chat = _resources("chat.yaml", Services="moon*", WebhookUrl=url)
    connection = events.create_connection(Name="chat", **chat["Connection"])["ConnectionArn"]
    destination = events.create_api_destination(
        **{"Name": "chat", **chat["Webhook"], "ConnectionArn": connection}
    )["ApiDestinationArn"]
    (target,) = chat["PostRule"]["Targets"]
    target = {**target, "Arn": destination, "RoleArn": "arn:aws:iam::000000000000:role/post"}
    _put_rule(app, "chat", chat["PostRule"]["EventPattern"], target)
    queue, arn_of_queue = _queue(app, "pipeline")
    pipeline = _resources("pipeline.yaml", Service="moon")
    (target,) = pipeline["StartRule"]["Targets"]
    # The emulator has no CodePipeline: the queue has the input that would start it.
    target = {"Id": "pipeline", "Arn": arn_of_queue, "InputTransformer": target["InputTransformer"]}
    _put_rule(app, "pipeline", pipeline["StartRule"]["EventPattern"], target)

    app.publish("sun", "1.0.0")
    app.publish("moon", "1.0.0")
    app.publish("moonrise", "2.0.0")
    inputs: list[Any] = []

    def is_delivered() -> bool:
        inputs.extend(_messages(app, queue))
        return len(posted) >= 2 and len(inputs) >= 1

    processes.wait_until(
        is_delivered, within_s=180, what="the chat and the pipeline have got the events"
    )
    _delete_rule(app, "chat", "chat")
    _delete_rule(app, "pipeline", "pipeline")
    by = app.registry.send("GET", "/services/moon/history").document["events"][0]["by"]
    assert {kind for kind, _ in posted} == {"application/json"}
    assert {document["text"] for _, document in posted} == {
        f"{name} {version}: Service Version Published by {by}. The latest version is {version}."
        for name, version in (("moon", "1.0.0"), ("moonrise", "2.0.0"))
    }
    for each in inputs:
        assert each == {
            "variables": [
                {"name": "SERVICE", "value": "moon"},
                {"name": "VERSION", "value": "1.0.0"},
            ]
        }
    _assert_starts_a_pipeline(inputs[0])


def _assert_starts_a_pipeline(document: dict[str, Any]) -> None:
    """Check a document against CodePipeline's own description of `StartPipelineExecution`."""
    model = botocore.session.Session().get_service_model("codepipeline")
    shape = model.operation_model("StartPipelineExecution").input_shape
    assert shape is not None
    report = ParamValidator().validate({"name": "orders-tests", **document}, shape)
    assert not report.has_errors(), report.generate_report()
