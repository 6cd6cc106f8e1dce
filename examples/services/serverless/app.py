"""The service `users`: an ordinary Lambda function."""

from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return a user."""
    return {"id": event.get("id"), "name": "Ada"}
