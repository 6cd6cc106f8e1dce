"""A CDK app with a function that calls the service users, version 1.x."""

from aws_cdk import App, Aws, CfnOutput, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

PREFIX = "/service-discovery"


class ConsumerStack(Stack):
    """A function with the layer, and the rights to read the index and to call `users`."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        layer_arn = ssm.StringParameter.value_for_string_parameter(self, f"{PREFIX}/layer/x86_64")
        policy_arn = ssm.StringParameter.value_for_string_parameter(
            self, f"{PREFIX}/index-read-policy"
        )
        table = ssm.StringParameter.value_for_string_parameter(self, f"{PREFIX}/index-table")
        function = lambda_.Function(
            self,
            "Checkout",
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler="app.handler",
            code=lambda_.Code.from_asset("src"),
            layers=[lambda_.LayerVersion.from_layer_version_arn(self, "Layer", layer_arn)],
            environment={"NEEDED_SERVICES": "users==1.x", "SERVICE_DISCOVERY_TABLE": table},
        )
        function.role.add_managed_policy(
            iam.ManagedPolicy.from_managed_policy_arn(self, "IndexRead", policy_arn)
        )
        users = f"arn:{Aws.PARTITION}:lambda:{Aws.REGION}:{Aws.ACCOUNT_ID}:function:users:*"
        function.add_to_role_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[users])
        )
        CfnOutput(self, "FunctionName", value=function.function_name)


app = App()
ConsumerStack(app, "checkout")
app.synth()
