"""The template: the documented interface, and the settings that the packages rely on."""

import json
import re
import subprocess
import sys
from http import HTTPStatus
from typing import Any

import pytest

from registry_model import index_layout
from registry_tables import versions_layout
from testing.template import (
    as_list,
    cloudformation,
    if_given,
    properties_of,
    statements_of,
    template,
)
from tests.conftest import ROOT

_PARAMETERS = {
    "PythonRuntime": "python3.13",
    "IndexTableName": "ServiceIndex",
    "IndexCopies": 1,
    "LogLevel": None,
    "LogRetentionDays": None,
    "AlarmTopicArn": "",
    "EventBusName": "",
    "ConsumerScanSchedule": "",
    "ConsumerOrgId": "",
    "KmsKeyArn": "",
    "ParameterPrefix": "/service-discovery",
    "PublisherServices": "*",
}
_OUTPUTS = {
    "PublisherFunctionArn",
    "RegistryUrl",
    "IndexTableName",
    "VersionsTableName",
    "ExtensionLayerArn",
    "ExtensionLayerArm64Arn",
    "IndexReadPolicyArn",
}
_METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}
_FUNCTIONS = (
    "RegistryApiFunction",
    "StreamSyncFunction",
    "IndexRebuildFunction",
    "RestoreFunction",
    "ConsumerScanFunction",
)
_WRITES = {f"dynamodb:{each}Item" for each in ("Put", "Update", "Delete", "BatchWrite")}
# The source of a restore is not known at deployment: reads only, and of tables only.
_ANY_TABLE = {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:*:*:table/*"}
# ListFunctions can't be limited to some functions.
_LISTS = ("lambda:ListAliases", "lambda:ListFunctions")
_READS = {"dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:Scan"}


def test_parameters_are_the_documented_ones_each_with_a_default() -> None:
    """A deployment without parameters works; a pipeline's overrides keep working."""
    parameters = template()["Parameters"]

    assert set(parameters) == set(_PARAMETERS)
    for name, default in _PARAMETERS.items():
        assert parameters[name]["Description"]
        wanted = parameters[name]["Default"] if default is None else default
        assert parameters[name]["Default"] == wanted


def test_outputs_are_the_documented_ones() -> None:
    """Consumers' stacks import the outputs by name."""
    outputs = template()["Outputs"]

    assert set(outputs) == _OUTPUTS
    assert all(output["Description"] for output in outputs.values())


def test_every_route_needs_iam_authorization() -> None:
    """A route without it would let anybody publish."""
    paths = properties_of("RegistryApi")["Body"]["paths"]

    assert {path: set(methods) for path, methods in paths.items()} == {
        "/": {"get"},
        "/{proxy+}": _METHODS,
    }
    for methods in paths.values():
        for operation in methods.values():
            assert operation["security"] == [{"AWS_IAM": []}]


# Every kind of gateway response, with its own status (Developer Guide, "Gateway response types"). A
# function that fails, times out or can't be imported has no kind but DEFAULT_5XX.
_GATEWAY_STATUS = {
    "ACCESS_DENIED": 403,
    "API_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_FAILURE": 500,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "DEFAULT_4XX": 400,
    "DEFAULT_5XX": 502,
    "EXPIRED_TOKEN": 403,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}


def test_every_refusal_of_the_gateway_is_a_problem_document() -> None:
    """The gateway's refusals have the same form as the function's."""
    responses = properties_of("RegistryApi")["Body"]["x-amazon-apigateway-gateway-responses"]

    assert {kind: int(each["statusCode"]) for kind, each in responses.items()} == _GATEWAY_STATUS
    for kind, response in responses.items():
        template = response["responseTemplates"]["application/json"]
        document = json.loads(template.replace("$context.error.messageString", '"why"'))
        assert set(document) == {"type", "title", "status", "detail"}
        assert document["status"] == _GATEWAY_STATUS[kind]
        assert document["title"] == HTTPStatus(document["status"]).phrase.replace(
            "Request Entity Too Large", "Content Too Large"
        )
        headers = response["responseParameters"]
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"


def test_temporary_refusals_have_retry_after() -> None:
    """Clients and the AWS SDKs wait as long as Retry-After says."""
    responses = properties_of("RegistryApi")["Body"]["x-amazon-apigateway-gateway-responses"]

    for kind, status in _GATEWAY_STATUS.items():
        has_it = "gatewayresponse.header.Retry-After" in responses[kind]["responseParameters"]
        assert has_it == (status in {429, 502, 503, 504})


def test_v1_is_the_only_stage() -> None:
    """SAM's second stage would be public, and without v1's limits and policy."""
    stages = [
        each["Properties"]["StageName"]
        for each in cloudformation()["Resources"].values()
        if each["Type"] == "AWS::ApiGateway::Stage"
    ]
    deployments = [
        each["Properties"]
        for each in cloudformation()["Resources"].values()
        if each["Type"] == "AWS::ApiGateway::Deployment"
    ]

    assert stages == ["v1"]
    assert ["StageName" in each for each in deployments] == [False]


def test_only_the_intended_services_may_invoke_functions() -> None:
    """Only API Gateway invokes the API's function, and only the schedule the scan."""
    sources = {
        "RegistryApiFunction": ("apigateway.amazonaws.com", "RegistryApi"),
        "ConsumerScanFunction": ("events.amazonaws.com", "ConsumerScanRule"),
    }
    permissions = [
        each["Properties"]
        for each in cloudformation()["Resources"].values()
        if each["Type"] == "AWS::Lambda::Permission"
    ]

    assert {each["FunctionName"]["Ref"] for each in permissions} == set(sources)
    for each in permissions:
        principal, source = sources[each["FunctionName"]["Ref"]]
        assert each["Principal"] == principal
        assert source in json.dumps(each["SourceArn"])
    assert '"credentials"' not in json.dumps(properties_of("RegistryApi")["Body"])


def test_no_policy_names_more_than_single_actions_on_our_tables() -> None:
    """Each function has only the rights that it uses."""
    documents = [statement for function in _FUNCTIONS for statement in statements_of(function)]
    documents += map(if_given, properties_of("IndexReadPolicy")["PolicyDocument"]["Statement"])

    for statement in documents:
        assert statement["Effect"] == "Allow"
        for action in as_list(statement["Action"]):
            assert "*" not in action
            assert action.startswith(
                ("dynamodb:", "sqs:SendMessage", "events:PutEvents", "kms:", *_LISTS)
            )
        for resource in as_list(statement["Resource"]):
            if resource == "*":
                assert tuple(statement["Action"]) == _LISTS
            elif resource == _ANY_TABLE:
                assert set(statement["Action"]) == _READS
            else:
                assert "*" not in json.dumps(resource)


def test_each_table_is_written_only_by_its_own_functions() -> None:
    """IAM enforces that each table has only one writer."""
    writers: dict[str, set[str]] = {
        table: set() for table in ("VersionsTable", "IndexTable", "ConsumersTable")
    }
    for function in _FUNCTIONS:
        for statement in statements_of(function):
            for table, found in writers.items():
                is_about_it = table in json.dumps(statement["Resource"])
                if is_about_it and _WRITES & set(as_list(statement["Action"])):
                    found.add(function)

    assert writers == {
        "VersionsTable": {"RegistryApiFunction", "RestoreFunction"},
        "IndexTable": {"StreamSyncFunction", "IndexRebuildFunction"},
        "ConsumersTable": {"RegistryApiFunction", "ConsumerScanFunction"},
    }


def test_the_consumers_policy_allows_only_reads_of_the_index() -> None:
    """The policy is attached to other teams' roles."""
    reads, key = properties_of("IndexReadPolicy")["PolicyDocument"]["Statement"]

    assert set(reads["Action"]) == {"dynamodb:GetItem", "dynamodb:BatchGetItem"}
    assert reads["Resource"] == {"Fn::GetAtt": ["IndexTable", "Arn"]}
    assert key["Fn::If"][0] == "HasKmsKey"
    assert key["Fn::If"][1]["Action"] == "kms:Decrypt"
    assert key["Fn::If"][1]["Resource"] == {"Ref": "KmsKeyArn"}
    assert "dynamodb." in json.dumps(key["Fn::If"][1]["Condition"])
    assert key["Fn::If"][2] == {"Ref": "AWS::NoValue"}


def test_another_index_table_leaves_the_old_one_and_its_policy_in_place() -> None:
    """Consumers read the old table until they are configured with the new name."""
    resources = cloudformation()["Resources"]

    assert resources["IndexTable"]["UpdateReplacePolicy"] == "Retain"
    assert resources["IndexReadPolicy"]["UpdateReplacePolicy"] == "Retain"
    assert "IndexTableName" in json.dumps(properties_of("IndexReadPolicy")["Description"])


def test_no_name_is_the_same_in_two_stacks_with_other_names_tables_and_prefixes() -> None:
    """A second stack in the account and Region would fail at the first fixed name."""
    own = re.compile(r"AWS::StackName|IndexTableName|ParameterPrefix")
    names = {
        f"{logical_id}.{name}": value
        for logical_id, each in cloudformation()["Resources"].items()
        for name, value in each["Properties"].items()
        if name == "Name" or (name.endswith("Name") and name not in _NO_NAMES_OF_THEIR_OWN)
    }

    assert names
    for where, value in names.items():
        assert own.search(json.dumps(value)), where


# These are names of other things, or belong to a resource that has its own name.
_NO_NAMES_OF_THEIR_OWN = {"FunctionName", "MetricName", "StageName"}


def test_the_organization_gets_reads_only() -> None:
    """Publishing stays within the account."""
    policy = properties_of("RegistryApi")["Body"]["x-amazon-apigateway-policy"]
    refused, reads = policy["Statement"]
    table = properties_of("IndexTable")["ResourcePolicy"]["Fn::If"]
    only_theirs = {"StringEquals": {"aws:PrincipalOrgID": {"Ref": "ConsumerOrgId"}}}

    assert refused["Effect"] == "Deny"
    assert reads["Fn::If"][0] == table[0] == "HasConsumerOrg"
    assert reads["Fn::If"][2] == table[2] == {"Ref": "AWS::NoValue"}
    assert reads["Fn::If"][1]["Resource"] == [
        "execute-api:/v1/GET/*",
        "execute-api:/v1/POST/resolve",
    ]
    # SAM copies the parameter's value into the API's description.
    assert reads["Fn::If"][1]["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": ""}}
    (statement,) = table[1]["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == {"dynamodb:GetItem", "dynamodb:BatchGetItem"}
    assert statement["Condition"] == only_theirs


def test_the_organization_may_use_both_layers() -> None:
    """Another account needs a permission for each layer version."""
    permissions = [
        each
        for each in cloudformation()["Resources"].values()
        if each["Type"] == "AWS::Lambda::LayerVersionPermission"
    ]
    layers = {
        name
        for name, each in cloudformation()["Resources"].items()
        if each["Type"] == "AWS::Lambda::LayerVersion"
    }

    assert {each["Properties"]["LayerVersionArn"]["Ref"] for each in permissions} == layers
    for each in permissions:
        assert each["Condition"] == "HasConsumerOrg"
        assert each["Properties"]["OrganizationId"] == {"Ref": "ConsumerOrgId"}
        assert each["UpdateReplacePolicy"] == "Retain"


def test_a_change_of_the_organization_is_deployed() -> None:
    """A stage keeps the resource policy of its deployment until there is a new deployment."""
    before = cloudformation()["Resources"]
    after = cloudformation(ConsumerOrgId="o-exampleorg1")["Resources"]

    assert _deployments(before) != _deployments(after)


def _deployments(resources: dict[str, Any]) -> list[str]:
    return [
        name for name, each in resources.items() if each["Type"] == "AWS::ApiGateway::Deployment"
    ]


def test_a_key_of_the_customers_encrypts_all_that_is_stored() -> None:
    """Tables, logs and queues are all encrypted with it, or none of them."""
    key = {"Ref": "KmsKeyArn"}
    for each in cloudformation()["Resources"].values():
        properties = each["Properties"]
        if each["Type"] == "AWS::DynamoDB::Table":
            condition, used, default = properties["SSESpecification"]["Fn::If"]
            used = used["KMSMasterKeyId"]
        elif each["Type"] == "AWS::Logs::LogGroup":
            condition, used, default = properties["KmsKeyId"]["Fn::If"]
        elif each["Type"] == "AWS::SQS::Queue":
            condition, used, default = properties["KmsMasterKeyId"]["Fn::If"]
        else:
            continue
        assert (condition, used, default) == ("HasKmsKey", key, {"Ref": "AWS::NoValue"})
    for function in _FUNCTIONS:
        (statement,) = [each for each in statements_of(function) if each["Resource"] == key]
        assert set(statement["Action"]) == {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"}


def test_versions_table_has_the_layouts_keys_and_indexes() -> None:
    """With another name of a key, the first publish would fail."""
    table = properties_of("VersionsTable")
    (stable,) = table["LocalSecondaryIndexes"]
    (listing,) = table["GlobalSecondaryIndexes"]

    assert _keys(table) == [versions_layout.SERVICE, versions_layout.ENTRY]
    assert stable["IndexName"] == versions_layout.STABLE_INDEX
    assert _keys(stable) == [versions_layout.SERVICE, versions_layout.STABLE_ORDER]
    assert listing["IndexName"] == versions_layout.SERVICES_INDEX
    assert _keys(listing) == [versions_layout.LISTING, versions_layout.SERVICE]


def test_index_table_has_the_public_key() -> None:
    """Readers in any language can read an answer by one key."""
    assert _keys(properties_of("IndexTable")) == [index_layout.SERVICE, index_layout.SELECTOR]
    assert properties_of("IndexTable")["TableName"] == {"Ref": "IndexTableName"}


def test_the_source_of_truth_outlives_the_stack_and_can_be_restored() -> None:
    """No other table has the published versions."""
    table = cloudformation()["Resources"]["VersionsTable"]

    assert table["DeletionPolicy"] == "RetainExceptOnCreate"
    assert table["UpdateReplacePolicy"] == "Retain"
    recovery = table["Properties"]["PointInTimeRecoverySpecification"]
    assert recovery == {"PointInTimeRecoveryEnabled": True}


def _keys(table: dict[str, Any]) -> list[str]:
    assert [key["KeyType"] for key in table["KeySchema"]] == ["HASH", "RANGE"]
    return [key["AttributeName"] for key in table["KeySchema"]]


def test_only_history_entries_and_services_ends_invoke_the_streams_function() -> None:
    """A change writes several items; the function should run once for it."""
    filters = [
        json.loads(each["Pattern"])
        for each in properties_of("StreamSyncFunctionChanges")["FilterCriteria"]["Filters"]
    ]

    assert filters == [
        {
            "eventName": ["INSERT", "MODIFY"],
            "dynamodb": {"Keys": {"entry": {"S": [{"prefix": versions_layout.HISTORY_PREFIX}]}}},
        },
        {
            "eventName": ["REMOVE"],
            "dynamodb": {"Keys": {"entry": {"S": [versions_layout.SERVICE_ENTRY]}}},
        },
    ]


def test_failing_record_is_retried_a_limited_number_of_times() -> None:
    """Otherwise, retries of a batch would stop the index of every service for a day."""
    mapping = properties_of("StreamSyncFunctionChanges")
    queue = properties_of("FailedChangesQueue")

    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert 0 < mapping["MaximumRetryAttempts"] < 10_000
    assert mapping["MaximumRecordAgeInSeconds"] == 24 * 3600
    assert "FailedChangesQueue" in json.dumps(mapping["DestinationConfig"]["OnFailure"])
    assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["HasKmsKey", {"Ref": "AWS::NoValue"}, True]}
    assert queue["MessageRetentionPeriod"] > mapping["MaximumRecordAgeInSeconds"]


def _alarms() -> dict[str, dict[str, Any]]:
    return {
        name: each["Properties"]
        for name, each in cloudformation()["Resources"].items()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    }


def test_lost_changes_and_a_late_index_raise_alarms() -> None:
    """Changes that were given up would otherwise go unnoticed."""
    alarms = {each["MetricName"]: json.dumps(each["Dimensions"]) for each in _alarms().values()}

    for name in ("FailedChanges", "FailedEvents"):
        alarm = _alarms()[f"{name}Alarm"]
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        assert f"{name}Queue" in json.dumps(alarm["Dimensions"])
    assert "StreamSyncFunction" in alarms["IteratorAge"]
    assert "stream-sync" in alarms["RestoredServices"]
    assert "AWS::StackName" in alarms["5XXError"]


def test_every_alarm_notifies_the_topic_that_was_given() -> None:
    """An alarm without an action goes unnoticed."""
    for alarm in _alarms().values():
        for actions in (alarm["AlarmActions"], alarm["OKActions"]):
            assert actions == {
                "Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]
            }


def test_alarms_on_our_own_metrics_are_about_this_stack_only() -> None:
    """A staging stack must not raise production's alarms."""
    for alarm in _alarms().values():
        if alarm["Namespace"] == "ServiceDiscovery":
            assert {"Name": "stack", "Value": {"Ref": "AWS::StackName"}} in alarm["Dimensions"]
    for name in _FUNCTIONS:
        variables = properties_of(name)["Environment"]["Variables"]
        assert variables["STACK_NAME"] == {"Ref": "AWS::StackName"}


def test_alarm_on_lost_changes_stays_until_the_queue_is_purged() -> None:
    """SQS sends no metrics of a queue that was not used for six hours."""
    for name in ("FailedChangesAlarm", "FailedEventsAlarm"):
        assert _alarms()[name]["TreatMissingData"] == "ignore"


def test_dashboard_shows_every_alarm() -> None:
    """The dashboard is where an operator looks first."""
    (body,) = properties_of("Dashboard")["DashboardBody"].values()
    document = json.loads(re.sub(r"\$\{([^}]+)\}", r"\1", body))
    shown = [
        each["properties"]["alarms"] for each in document["widgets"] if each["type"] == "alarm"
    ]

    assert {f"{name}.Arn" for name in _alarms()} == {name for each in shown for name in each}


def test_each_alarm_is_described_in_the_documentation() -> None:
    """An operator who sees an alarm for the first time finds its description."""
    operations = (ROOT / "docs/operations.md").read_text("utf-8")

    for name, alarm in _alarms().items():
        assert "docs/operations.md" in alarm["AlarmDescription"]
        assert f"`{name}`" in operations


def test_poisoned_record_delays_few_others() -> None:
    """Records in the same lane wait until the poisoned one is given up."""
    assert properties_of("StreamSyncFunctionChanges")["ParallelizationFactor"] == 10


def test_index_has_no_more_copies_than_a_rebuild_looks_for() -> None:
    """A rebuild would leave copies behind if their number could be reduced by more."""
    assert template()["Parameters"]["IndexCopies"]["MaxValue"] == index_layout.MAX_COPIES


def test_rebuild_has_the_longest_timeout() -> None:
    """It returns a cursor before the end, but fewer invocations are easier for an operator."""
    assert properties_of("IndexRebuildFunction")["Timeout"] == 900


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_handler_starts_with_the_variables_that_the_template_sets(name: str) -> None:
    """With a wrong name of the handler or of a variable every cold start fails."""
    module, _, attribute = template()["Resources"][name]["Properties"]["Handler"].rpartition(".")
    variables = dict.fromkeys(properties_of(name)["Environment"]["Variables"], "1")
    # Lambda's runtime sets the root logger to the stack's LogLevel: botocore would log headers.
    script = (
        "import logging; logging.getLogger().setLevel(logging.DEBUG)\n"
        f"from {module} import {attribute}\n"
        f"print(callable({attribute}))\n"
        "print(logging.getLogger('botocore.parsers').isEnabledFor(logging.DEBUG))"
    )

    started = subprocess.run(
        [sys.executable, "-c", script],
        env={**variables, "POWERTOOLS_LOG_LEVEL": "INFO", "AWS_DEFAULT_REGION": "eu-west-1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (started.returncode, started.stdout) == (0, "True\nFalse\n"), started.stderr


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_source_folder_holds_only_the_function_and_what_it_imports(name: str) -> None:
    """SAM's builder copies the whole folder, so tests and tools would be deployed too."""
    properties = template()["Resources"][name]["Properties"]
    folder = ROOT / "infra" / properties["CodeUri"]
    package = properties["Handler"].partition(".")[0]

    # The API's description has the product's version from pyproject.toml.
    version = {"pyproject.toml"} if package == "registry_api" else set()
    expected = {package, "registry_model", "registry_tables", "requirements.txt"} | version
    assert {path.name for path in folder.iterdir()} == expected
    assert all(path.is_symlink() and path.exists() for path in folder.iterdir())


def test_functions_have_the_names_of_the_templates_tables() -> None:
    """CloudFormation chooses the tables' names."""
    variables = {name: properties_of(name)["Environment"]["Variables"] for name in _FUNCTIONS}

    for each in variables.values():
        assert each["POWERTOOLS_METRICS_NAMESPACE"] == "ServiceDiscovery"
        assert each["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}
        for table in each.keys() & {"VERSIONS_TABLE", "CONSUMERS_TABLE"}:
            assert each[table] == {"Ref": f"{table.partition('_')[0].title()}Table"}
    for name in ("StreamSyncFunction", "IndexRebuildFunction"):
        assert variables[name]["INDEX_TABLE"] == {"Ref": "IndexTable"}
        assert variables[name]["INDEX_COPIES"] == {"Ref": "IndexCopies"}


def test_logs_are_json_and_end_after_the_days_that_were_asked_for() -> None:
    """Logs without an expiry cost more every month."""
    for function in (*_FUNCTIONS, "PublisherFunction"):
        logging, name = properties_of(function)["LoggingConfig"], function.removesuffix("Function")

        assert logging == {
            "LogFormat": "JSON",
            "ApplicationLogLevel": {"Fn::If": ["LogsWarnings", "WARN", {"Ref": "LogLevel"}]},
            "LogGroup": {"Ref": f"{name}LogGroup"},
        }
        group = properties_of(f"{name}LogGroup")
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_each_architecture_has_its_layer_and_old_versions_stay() -> None:
    """A function with an older version of the layer must still start."""
    layers = {
        name: resource
        for name, resource in template()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    }

    assert set(layers) == {"ServiceDiscoveryLayer", "ServiceDiscoveryLayerArm64"}
    for name, arch in (
        ("ServiceDiscoveryLayer", "x86_64"),
        ("ServiceDiscoveryLayerArm64", "arm64"),
    ):
        assert layers[name]["Metadata"]["BuildMethod"] == "makefile"
        assert layers[name]["Properties"]["CompatibleArchitectures"] == [arch]
        assert layers[name]["Properties"]["RetentionPolicy"] == "Retain"
