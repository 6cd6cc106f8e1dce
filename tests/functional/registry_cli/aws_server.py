"""A fake of the AWS APIs that the command line calls: CloudFormation, STS, Lambda."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from tests.functional.http_gateway import Canned, SeenRequest

ACCOUNT = "123456789012"
API = "abc1234567"
PREFIX = f"/restapis/{API}/v1/_user_request_"
OUTPUTS = {
    "RegistryUrl": f"https://{API}.execute-api.eu-west-1.amazonaws.com/v1",
    "IndexTableName": "ServiceIndex",
    "VersionsTableName": "Versions",
}
_CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/pipeline"
_FUNCTIONS = "/2015-03-31/functions"


@dataclass(kw_only=True)
class AwsServer:
    """A fake of AWS, which tests can change.

    Attributes:
        stacks: Each stack's outputs.
        parameters: The parameters of every stack.
        denied: The actions that the caller may not call.
        invoke: What the stack's functions return for a payload.
        payloads: The payloads of their invocations.
        invoked: The functions that were invoked, by their names in the template.
        functions: The functions in ListFunctions' response.
    """

    stacks: dict[str, dict[str, str]] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    invoke: Callable[[dict[str, Any]], Any] = lambda _payload: {}
    payloads: list[dict[str, Any]] = field(default_factory=list)
    invoked: list[str] = field(default_factory=list)
    functions: list[dict[str, Any]] = field(default_factory=list)

    def reset(self) -> None:
        """Set the one stack with the default name, and every permission."""
        self.stacks = {"service-discovery": dict(OUTPUTS)}
        self.parameters = {}
        self.denied = set()
        self.payloads = []
        self.invoked = []
        self.functions = []

    def respond(self, seen: SeenRequest) -> Canned | None:
        """Respond to calls of AWS; return None for all others."""
        if seen.method == "GET" and seen.target.startswith(_FUNCTIONS):
            return self._list(unquote(seen.target).removeprefix(_FUNCTIONS))
        if seen.target.startswith(_FUNCTIONS):
            return self._lambda(seen)
        if (seen.method, seen.target) != ("POST", "/"):
            return None
        form = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        return self._query(form)

    def _query(self, form: dict[str, str]) -> Canned:
        action = form["Action"]
        if action in self.denied:
            service = "sts" if action == "GetCallerIdentity" else "cloudformation"
            message = (
                f"User: {_CALLER} is not authorized to perform: {service}:{action} on resource: "
                f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/service-discovery/*"
            )
            return _error(403, "AccessDenied", message)
        if action == "GetCallerIdentity":
            return _result(action, f"<Arn>{_CALLER}</Arn><Account>{ACCOUNT}</Account>")
        name = form.get("StackName")
        if name is not None and name not in self.stacks:
            return _error(400, "ValidationError", f"Stack with id {name} does not exist")
        if action == "DescribeStackResource" and not self.stacks[form["StackName"]]:
            message = f"Resource {form['LogicalResourceId']} does not exist for stack {name}"
            return _error(400, "ValidationError", message)
        if action == "DescribeStackResource":
            function = f"{name}-{form['LogicalResourceId']}-1A2B"
            return _result(
                action,
                "<StackResourceDetail><PhysicalResourceId>"
                f"{function}</PhysicalResourceId></StackResourceDetail>",
            )
        chosen = self.stacks if name is None else {name: self.stacks[name]}
        return _result(action, f"<Stacks>{''.join(map(self._stack, chosen))}</Stacks>")

    def _stack(self, name: str) -> str:
        outputs = _members("Outputs", "Output", self.stacks[name])
        parameters = _members("Parameters", "Parameter", self.parameters)
        arn = f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/{name}/0a1b"
        return (
            f"<member><StackId>{arn}</StackId><StackName>{name}</StackName>"
            f"{outputs}{parameters}<StackStatus>CREATE_COMPLETE</StackStatus></member>"
        )

    def _list(self, rest: str) -> Canned:
        """Return a page with one function, or a function's aliases."""
        listing, _, path = rest.partition("/")
        name, _, what = path.partition("/")
        if what.startswith("aliases"):
            aliases = [{"Name": "live", "FunctionVersion": "1"}] if name == "orders" else []
            return Canned(status=200, body=json.dumps({"Aliases": aliases}).encode())
        query = parse_qs(listing.partition("?")[2])
        if "ListFunctions" in self.denied:
            body = {
                "Message": f"User: {_CALLER} is not authorized to perform: lambda:ListFunctions "
                "on resource: *"
            }
            headers = {"x-amzn-ErrorType": "AccessDeniedException"}
            return Canned(status=403, body=json.dumps(body).encode(), headers=headers)
        start = int(query.get("Marker", ["0"])[0])
        page: dict[str, Any] = {"Functions": self.functions[start : start + 1]}
        if start + 1 < len(self.functions):
            page["NextMarker"] = str(start + 1)
        return Canned(status=200, body=json.dumps(page).encode())

    def _lambda(self, seen: SeenRequest) -> Canned:
        name = unquote(seen.target.removeprefix(_FUNCTIONS))[1:].partition("/")[0]
        if not name.endswith("-1A2B"):
            return Canned(status=404, body=b'{"Message": "Function not found"}')
        self.invoked.append(name.split("-")[-2])
        self.payloads.append(seen.document)
        try:
            found = self.invoke(seen.document)
        except Exception as error:  # noqa: BLE001  # Lambda reports every exception of the function
            document = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return Canned(
                status=200,
                body=json.dumps(document).encode(),
                headers={"X-Amz-Function-Error": "Unhandled"},
            )
        return Canned(status=200, body=json.dumps(found).encode())


def _members(what: str, kind: str, pairs: dict[str, str]) -> str:
    each = "".join(
        f"<member><{kind}Key>{name}</{kind}Key><{kind}Value>{escape(text)}</{kind}Value></member>"
        for name, text in pairs.items()
    )
    return f"<{what}>{each}</{what}>"


def _result(action: str, inner: str) -> Canned:
    body = f"<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>"
    return Canned(status=200, body=body.encode(), headers={"Content-Type": "text/xml"})


def _error(status: int, code: str, message: str) -> Canned:
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
        f"<Message>{escape(message)}</Message></Error></ErrorResponse>"
    )
    return Canned(status=status, body=body.encode(), headers={"Content-Type": "text/xml"})
