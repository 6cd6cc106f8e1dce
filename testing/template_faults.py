"""What cfn-lint finds in a template."""

from functools import cache
from typing import Any


@cache
def _rules() -> Any:
    """Return cfn-lint's rules, which take longer to load than to apply."""
    from cfnlint.config import ConfigMixIn  # noqa: PLC0415
    from cfnlint.runner import Runner  # noqa: PLC0415

    return Runner(ConfigMixIn(regions=["us-east-1"])).rules


def template_faults(template: str, **settings: Any) -> list[str]:
    """Return cfn-lint's findings, one text each, as its `lint` does.

    Args:
        template: The text of the template.
        settings: `regions` and `ignore_checks`, as cfn-lint's configuration has them.
    """
    # Each process imports all tests, and few of them need cfn-lint, which takes a second.
    from cfnlint.config import ConfigMixIn  # noqa: PLC0415
    from cfnlint.decode import decode_str  # noqa: PLC0415
    from cfnlint.runner import run_template_by_data  # noqa: PLC0415

    decoded, faults = decode_str(template)
    if not faults:
        config = ConfigMixIn(**({"regions": ["us-east-1"]} | settings))
        faults = list(run_template_by_data(decoded, config, _rules()))
    return [str(fault) for fault in faults]
