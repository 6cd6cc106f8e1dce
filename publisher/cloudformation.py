"""Reads the state of stacks from CloudFormation."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from publisher.decisions import StackState
from publisher.events import StackResource
from publisher.stacks import StackUnreadableError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef


class CloudFormationStacks:
    """Implements `Stacks` with CloudFormation's API."""

    def __init__(self, client: "CloudFormationClient") -> None:
        """Set the client."""
        self._client = client

    def state(self, resource: StackResource) -> StackState:
        """Return the present state of a resource's stack.

        Raises:
            StackUnreadableError: It cannot be read, or it is another stack with the same name.
        """
        stack = self._describe(resource.stack_name)
        if stack["StackId"] != resource.stack_id:
            raise StackUnreadableError(resource.stack_name, "another stack has this name now")
        root = stack.get("RootId")
        root_status = self._describe(root)["StackStatus"] if root else None
        return StackState(status=stack["StackStatus"], root_status=root_status)

    def present_id(self, resource: StackResource) -> str:
        """Return a resource's present physical id.

        Raises:
            StackUnreadableError: It can't be read.
        """
        try:
            found = self._client.describe_stack_resource(
                StackName=resource.stack_name, LogicalResourceId=resource.logical_id
            )
        except (BotoCoreError, ClientError) as error:
            raise StackUnreadableError(resource.stack_name, str(error)) from error
        present_id = found["StackResourceDetail"].get("PhysicalResourceId")
        if not present_id:
            raise StackUnreadableError(resource.stack_name, "the resource has no physical id")
        return present_id

    def _describe(self, name: str) -> "StackTypeDef":
        try:
            (stack,) = self._client.describe_stacks(StackName=name)["Stacks"]
        except (BotoCoreError, ClientError, ValueError) as error:
            raise StackUnreadableError(name, str(error)) from error
        return stack
