"""`infra/template.yaml`, before and after SAM's transform."""

from functools import cache
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

from local.processes import ROOT


def template() -> dict[str, Any]:
    """Return the template before the transform."""
    parsed: dict[str, Any] = yaml_parse((ROOT / "infra/template.yaml").read_text(encoding="utf-8"))
    return parsed


@cache
def cloudformation(**parameters: str) -> dict[str, Any]:
    """Return the template after SAM's transform."""
    # Each process imports all tests, and few of them need SAM's transform.
    from samtranslator.translator.transform import transform  # noqa: PLC0415

    class NoManagedPolicies:
        @staticmethod
        def load() -> dict[str, str]:
            return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        source = template()
        # As after `sam build` and `sam package`, since SAM's transform accepts no local folders.
        for resource in source["Resources"].values():
            for name in ("CodeUri", "ContentUri"):
                if name in resource.get("Properties", {}):
                    resource["Properties"][name] = "s3://bucket/key"
        transformed: dict[str, Any] = transform(source, parameters, NoManagedPolicies())
    return transformed


def properties_of(name: str) -> dict[str, Any]:
    """Return a resource's properties after the transform."""
    properties: dict[str, Any] = cloudformation()["Resources"][name]["Properties"]
    return properties


def statements_of(function: str) -> list[dict[str, Any]]:
    """Return a function's rights, including those that depend on a parameter."""
    policies = [if_given(policy) for policy in properties_of(f"{function}Role")["Policies"]]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def if_given(value: Any) -> Any:
    """Return the value of an `Fn::If` if its parameter is given."""
    return value["Fn::If"][1] if isinstance(value, dict) and "Fn::If" in value else value


def as_list(value: Any) -> list[Any]:
    """Return *value* as a list: a template may have a single entry instead of a list."""
    return value if isinstance(value, list) else [value]
