"""The state of stacks, as CloudFormation describes it."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from publisher.decisions import StackState
from publisher.events import StackResource
from publisher.stacks import StackUnreadableError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef


class CloudFormationStacks:
    """`Stacks` by CloudFormation's API."""

    def __init__(self, client: "CloudFormationClient") -> None:
        """Keep the client."""
        self._client = client

    def state(self, resource: StackResource) -> StackState:
        """Return what the stack of a resource does at the moment.

        Raises:
            StackUnreadableError: It can't be read, or it is another stack of the same name.
        """
        stack = self._describe(resource.stack_name)
        if stack["StackId"] != resource.stack_id:
            raise StackUnreadableError(resource.stack_name, "there is another one of that name")
        root = stack.get("RootId")
        root_status = self._describe(root)["StackStatus"] if root else None
        return StackState(status=stack["StackStatus"], root_status=root_status)

    def present_id(self, resource: StackResource) -> str:
        """Return the physical id that the stack has for a resource now.

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
