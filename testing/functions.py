"""Lambda functions on moto, with environment variables for the scan of consumers."""

from typing import TYPE_CHECKING, Any

import boto3

from local.services import archive_of

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

REGION = "eu-west-1"
SECRET = "not-to-be-kept"
_ROLE = "functions"


def create_function(client: "LambdaClient", name: str, needed: str | None) -> None:
    """Create a function with a secret among its variables.

    Args:
        needed: Its `NEEDED_SERVICES`, or None for no such variable.
    """
    iam = boto3.client("iam", region_name=REGION)
    if _ROLE not in [each["RoleName"] for each in iam.list_roles()["Roles"]]:
        iam.create_role(RoleName=_ROLE, AssumeRolePolicyDocument="{}")
    client.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="app.handler",
        Role=iam.get_role(RoleName=_ROLE)["Role"]["Arn"],
        Code={"ZipFile": archive_of("")},
        Environment=_environment(needed),
    )


def change_needs(client: "LambdaClient", name: str, needed: str | None) -> None:
    """Change the `NEEDED_SERVICES` of a function's unpublished version."""
    client.update_function_configuration(FunctionName=name, Environment=_environment(needed))


def _environment(needed: str | None) -> Any:
    own = {} if needed is None else {"NEEDED_SERVICES": needed}
    return {"Variables": {"PASSWORD": SECRET, **own}}
