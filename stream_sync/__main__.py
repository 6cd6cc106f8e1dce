"""`python -m stream_sync rebuild|verify --stack NAME`: from a terminal, with progress, to the end.

It invokes the stack's function again and again, each time with the cursor of the time before, so
it can be stopped and gone on with. The rights that it needs: cloudformation:DescribeStackResource
and lambda:InvokeFunction.

Exit status: 0, all is as it should be, or has been put right; 1, `verify` found differences; 2, it
could not do all of it, and says how to go on.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# An answer comes after so long: progress is shown, and little is lost if it is stopped.
_SECONDS = 15
# A function's answer may take its last step's time longer, and that of a second look.
_CLIENT = Config(read_timeout=300, retries={"mode": "standard", "total_max_attempts": 5})

DONE, DIFFERENT, UNFINISHED = 0, 1, 2


_FUNCTION = "IndexRebuildFunction"


class InvocationError(Exception):
    """The function could not be found or invoked, or failed; the message says why."""


def _parser() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m stream_sync",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        choices=("rebuild", "verify"),
        help="rebuild: make the index what the versions table implies; verify: only say what it is "
        "not",
    )
    parser.add_argument("--stack", required=True, help="the stack that the registry is deployed as")
    parser.add_argument("--service", help="this service alone; without it, all of them")
    parser.add_argument("--cursor", help="go on where an earlier run stopped; it said where")
    return parser


def _answers(session: boto3.Session, stack: str, payload: dict[str, Any]) -> Iterator[Any]:
    """Invoke the stack's function until it has done all; give each answer.

    Raises:
        InvocationError: It could not be found or invoked, or failed.
    """
    try:
        resource = session.client("cloudformation").describe_stack_resource(
            StackName=stack, LogicalResourceId=_FUNCTION
        )
        function = resource["StackResourceDetail"]["PhysicalResourceId"]
        client = session.client("lambda", config=_CLIENT)
        while True:
            answer = client.invoke(FunctionName=function, Payload=json.dumps(payload).encode())
            document = json.load(answer["Payload"])
            if "FunctionError" in answer:
                message = f"{document.get('errorType')}: {document.get('errorMessage', document)}"
                raise InvocationError(message)
            yield document
            if document["cursor"] is None:
                return
            payload["cursor"] = document["cursor"]
    except (BotoCoreError, ClientError) as error:
        raise InvocationError(str(error)) from error


def _shown(item: dict[str, Any] | None, names: list[str]) -> str:
    if item is None:
        return "nothing"
    return ", ".join(f"{name} {item[name]}" for name in names if name in item)


def _line(difference: dict[str, Any]) -> str:
    """Spell a difference for a person: what differs, and nothing that does not."""
    found, wanted = difference["is"], difference["should_be"]
    names = sorted({*(found or {}), *(wanted or {})} - {"updated_at"})
    if found and wanted:
        names = [name for name in names if found.get(name) != wanted.get(name)]
    where = f"{difference['service']} {difference['selector']}"
    if wanted is None:
        return f"  {where}: should not be there"
    return f"  {where}: is {_shown(found, names)}; should be {_shown(wanted, names)}"


def main(arguments: list[str], session: boto3.Session) -> int:
    """Do what the command line says; give the exit status."""
    options = _parser().parse_args(arguments)
    payload = {"action": options.action, "seconds": _SECONDS}
    payload |= {"service": options.service} if options.service else {}
    payload |= {"cursor": options.cursor} if options.cursor else {}
    services = selectors = differences = 0
    failed: dict[str, str] = {}
    try:
        for document in _answers(session, options.stack, payload):
            services += document["services"]
            selectors += document["selectors"]
            differences += document["differences"]
            failed |= document["failed"]
            for each in document["listed"]:
                print(_line(each))
            unlisted = document["differences"] - len(document["listed"])
            if unlisted:
                print(f"  and {unlisted} more")
            progress = f"{services} services, {selectors} selectors, {differences} differences"
            print(f"{progress}; cursor {document['cursor'] or '-'}", flush=True)
    except (InvocationError, KeyboardInterrupt) as error:
        print(f"stopped: {str(error) or 'interrupted'}", file=sys.stderr)
        if "cursor" in payload:
            print(f"go on with --cursor {payload['cursor']}", file=sys.stderr)
        return UNFINISHED
    for service, reason in sorted(failed.items()):
        print(f"could not do {service}: {reason}", file=sys.stderr)
    if failed:
        return UNFINISHED
    verdict = "were put right" if options.action == "rebuild" else "were found"
    print(f"done: {differences} differences {verdict}" if differences else "done: no differences")
    return DIFFERENT if differences and options.action == "verify" else DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], boto3.Session()))
