"""What cfn-lint finds in a template."""

from typing import Any


def template_faults(template: str, **settings: Any) -> list[str]:
    """Return cfn-lint's findings, one text each.

    Args:
        template: The text of the template.
        settings: `regions` and `ignore_checks`, as cfn-lint's configuration has them.
    """
    # Each process imports all tests, and few of them need cfn-lint, which takes a second.
    from cfnlint import api  # noqa: PLC0415

    config = api.ManualArgs(**settings) if settings else None
    return [str(fault) for fault in api.lint(template, config=config)]
