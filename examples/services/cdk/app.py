"""A service that publishes each version of itself when it is deployed, with AWS CDK."""

from pathlib import Path

from aws_cdk import App, CustomResource, RemovalPolicy, Stack, aws_lambda, aws_ssm
from constructs import Construct

_SOURCE = Path(__file__).parent.parent / "users"


class UsersStack(Stack):
    """The service `users`."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        """Define the function, and publish its current version."""
        super().__init__(scope, construct_id)
        function = aws_lambda.Function(
            self,
            "Users",
            code=aws_lambda.Code.from_asset(str(_SOURCE)),
            handler="app.handler",
            runtime=aws_lambda.Runtime.PYTHON_3_13,
            # Consumers may still call the old versions.
            current_version_options=aws_lambda.VersionOptions(removal_policy=RemovalPolicy.RETAIN),
        )
        CustomResource(
            self,
            "UsersPublished",
            resource_type="Custom::ServiceVersion",
            service_token=aws_ssm.StringParameter.value_for_string_parameter(
                self, "/service-discovery/publisher"
            ),
            # Function version 42 is published as users 1.42.0.
            properties={
                "Name": "users",
                "VersionPrefix": "1",
                "Arn": function.current_version.function_arn,
                "Metadata": {"team": "accounts"},
            },
        )


app = App()
UsersStack(app, "users")
app.synth()
