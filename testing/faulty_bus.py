"""An EventBridge bus with scripted failures."""

from typing import Any

from botocore.exceptions import ClientError

Step = str | set[int]


class FaultyBus:
    """An EventBridge client that follows a script, one step for each call, then accepts everything.

    A step is an error code for the whole call, or the positions of the entries that fail.
    """

    def __init__(self, script: list[Step] | None = None) -> None:
        """Set the script; without one, accept everything."""
        self.script = script or []
        self.taken: list[dict[str, Any]] = []
        self.calls: list[int] = []

    def put_events(self, *, Entries: Any) -> dict[str, Any]:  # noqa: N803  # boto3's
        """Follow the script."""
        self.calls.append(len(Entries))
        step: Step = self.script.pop(0) if self.script else set()
        if isinstance(step, str):
            raise ClientError({"Error": {"Code": step, "Message": ""}}, "PutEvents")
        results: list[dict[str, str]] = []
        for position, entry in enumerate(Entries):
            if position in step:
                results.append({"ErrorCode": "InternalFailure", "ErrorMessage": "later"})
            else:
                results.append({"EventId": "1"})
                self.taken.append(entry)
        return {"FailedEntryCount": len(step), "Entries": results}
