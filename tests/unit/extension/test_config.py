"""The function's environment: every variable, its forms and its faults."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension import log
from extension.config import Config, ConfigError, log_level, logs_json

_ENVIRONMENT = {"NEEDED_SERVICES": "users", "AWS_REGION": "eu-west-1"}
_TABLE_ARN = "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/Own.Table-1_x"


def _config(**variables: str) -> Config:
    return Config.from_env((_ENVIRONMENT | variables).get)


def _faults(**variables: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        _config(**variables)
    return refused.value.faults


def test_defaults_are_the_documented_ones() -> None:
    """A function that sets only NEEDED_SERVICES has the defaults in README."""
    config = _config()

    assert config.services_file == "/tmp/services.json"
    assert config.table == "ServiceIndex"
    assert (config.max_age_s, config.timeout_ms, config.hold_ms) == (30, 1500, 250)
    assert not config.is_strict
    assert not config.is_managed
    assert config.endpoint.host == "dynamodb.eu-west-1.amazonaws.com"
    assert config.is_ipv4_only
    assert config.ca_bundle is None


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "SERVICE_DISCOVERY_MAX_AGE",
            {"0": 0, "86400": 86400, " 7 ": 7, "030": 30},
            ["86401", "-1", "+1", "1.5", "1e3", "soon", "٣", "99999999999", " ", "0x10", "1_0"],
        ),
        (
            "SERVICE_DISCOVERY_TIMEOUT_MS",
            {"1": 1, "30000": 30000},
            ["0", "30001", "1.5", "1s", "inf"],
        ),
        ("SERVICE_DISCOVERY_HOLD_MS", {"0": 0, "5000": 5000}, ["5001", "-1", "0.5", "never"]),
    ],
)
def test_numbers_are_whole_and_within_bounds(
    name: str, good: dict[str, int], bad: list[str]
) -> None:
    attribute = {
        "SERVICE_DISCOVERY_MAX_AGE": "max_age_s",
        "SERVICE_DISCOVERY_TIMEOUT_MS": "timeout_ms",
        "SERVICE_DISCOVERY_HOLD_MS": "hold_ms",
    }[name]
    for text, value in good.items():
        assert getattr(_config(**{name: text}), attribute) == value
    for text in bad:
        (fault,) = _faults(**{name: text})
        assert fault.startswith(f"{name}: '")
        assert "whole number from" in fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("TRUE", True), ("True ", True), ("false", False), ("FALSE", False)],
)
def test_strict_is_true_or_false_in_any_case(text: str, expected: bool) -> None:  # noqa: FBT001
    assert _config(SERVICE_DISCOVERY_STRICT=text).is_strict is expected


@pytest.mark.parametrize("text", ["1", "yes", "maybe", "tru", "on"])
def test_strict_that_might_mean_anything_is_refused(text: str) -> None:
    """An unclear value must not silently leave strict mode off."""
    (fault,) = _faults(SERVICE_DISCOVERY_STRICT=text)
    assert "should be true or false" in fault


@pytest.mark.parametrize("path", ["services.json", "./x", "~/x", "/tmp/", "/", " /tmp/x"])
def test_file_that_is_no_absolute_path_is_refused(path: str) -> None:
    """A relative path would depend on the extension's working directory."""
    (fault,) = _faults(SERVICES_FILE=path)
    assert "should be the absolute path of a file" in fault


def test_table_named_by_its_arn_gives_the_region() -> None:
    """The registry may be in another account or Region."""
    config = _config(SERVICE_DISCOVERY_TABLE=_TABLE_ARN)

    assert config.table == _TABLE_ARN
    assert config.region == "cn-north-1"
    assert config.endpoint.host == "dynamodb.cn-north-1.amazonaws.com.cn"


def test_table_named_by_its_arn_needs_no_region_besides() -> None:
    """The ARN's Region is used for the call and the signature."""
    assert _config(SERVICE_DISCOVERY_TABLE=_TABLE_ARN, AWS_REGION="").region == "cn-north-1"


@pytest.mark.parametrize(
    "table",
    [
        "ab",
        "a" * 256,
        "My Table",
        "tab/le",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/T/index/I",
        "arn:aws:dynamodb::123456789012:table/Table",
        "arn:aws:dynamodb:eu west:123456789012:table/Table",
        "arn:aws:sqs:eu-west-1:123456789012:Table",
        "arn:aws:dynamodb",
    ],
)
def test_malformed_table_name_is_refused(table: str) -> None:
    """The error comes at init, before DynamoDB refuses the name at every check."""
    (fault,) = _faults(SERVICE_DISCOVERY_TABLE=table)
    assert fault.startswith("SERVICE_DISCOVERY_TABLE: ")


def test_region_is_needed_if_a_service_is_needed() -> None:
    """Lambda always sets it; elsewhere the error says to set it."""
    assert _faults(AWS_REGION="") == ["AWS_REGION is not set"]
    assert _config(AWS_REGION="", AWS_DEFAULT_REGION="eu-west-3").region == "eu-west-3"
    assert _config(AWS_REGION="", NEEDED_SERVICES="").needs == []
    assert "is not a Region" in _faults(AWS_REGION="eu-west-1.evil.example/")[0]


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({}, "dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "dynamodb-fips.eu-west-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "TRUE"}, "dynamodb.eu-west-1.api.aws"),
        (
            {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "dynamodb-fips.eu-west-1.api.aws",
        ),
        ({"AWS_USE_FIPS_ENDPOINT": "false"}, "dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://any:1"}, "any"),
        ({"AWS_ENDPOINT_URL": "http://any", "AWS_ENDPOINT_URL_DYNAMODB": "http://own"}, "own"),
        ({"AWS_ENDPOINT_URL": "http://any", "AWS_ENDPOINT_URL_DYNAMODB": ""}, "any"),
        (
            {
                "AWS_ENDPOINT_URL": "http://any",
                "AWS_ENDPOINT_URL_DYNAMODB": "ftp://own",
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True",
            },
            "dynamodb.eu-west-1.amazonaws.com",
        ),
    ],
)
def test_endpoint_is_chosen_as_every_sdk_does(variables: dict[str, str], host: str) -> None:
    """The service's own variable comes first, then the general one, then the Region's endpoint."""
    assert _config(**variables).endpoint.host == host


def test_dual_stack_name_is_looked_up_in_both_families() -> None:
    """A function with a dual-stack endpoint may have no IPv4 at all."""
    assert not _config(AWS_USE_DUALSTACK_ENDPOINT="true").is_ipv4_only
    assert not _config(AWS_ENDPOINT_URL="http://localhost").is_ipv4_only


def test_password_in_an_endpoint_is_not_repeated() -> None:
    """The message goes to the log."""
    (fault,) = _faults(AWS_ENDPOINT_URL="http://user:hunter2@host")
    assert "hunter2" not in fault
    assert "host" in fault


def test_keys_come_before_the_containers_endpoint() -> None:
    """As in every AWS SDK; one key without the other counts as none."""
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9001/x"}
    keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET"}

    both = _config(**container, **keys)
    half = _config(**container, AWS_ACCESS_KEY_ID="AKID")

    assert both.keys == ("AKID", "SECRET", "")
    assert both.container is None
    assert half.keys is None
    assert half.container is not None
    assert half.container.path == "/x"


@pytest.mark.parametrize(
    "uri",
    ["http://evil.example/x", "http://10.0.0.1/", "http://127.evil.example/", "x", "http:///"],
)
def test_containers_endpoint_on_another_host_is_refused(uri: str) -> None:
    """The token must not be sent to a host that anybody can set in a variable."""
    (fault,) = _faults(AWS_CONTAINER_CREDENTIALS_FULL_URI=uri)
    assert fault.startswith("AWS_CONTAINER_CREDENTIALS_FULL_URI: ")


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:9001/x", "http://localhost/", "http://169.254.170.2/", "http://[::1]/",
     "http://169.254.170.23/v1", "http://[fd00:ec2::23]/v1", "https://keys.example/x"],
)  # fmt: skip
def test_containers_endpoint_on_an_allowed_host_is_accepted(uri: str) -> None:
    """Loopback, the containers' own addresses, or any host over verified TLS."""
    assert _config(AWS_CONTAINER_CREDENTIALS_FULL_URI=uri).container is not None


def test_every_fault_is_reported_at_once() -> None:
    """One deployment shows every fault, in a stable order."""
    faults = _faults(
        NEEDED_SERVICES="a,,a, b=1",
        SERVICES_FILE="x",
        SERVICE_DISCOVERY_MAX_AGE="x",
        SERVICE_DISCOVERY_LOG_LEVEL="TRACE",
    )

    assert [fault.partition(":")[0].partition(" ")[0] for fault in faults] == [
        "NEEDED_SERVICES",
        "NEEDED_SERVICES",
        "SERVICES_FILE",
        "SERVICE_DISCOVERY_MAX_AGE",
        "SERVICE_DISCOVERY_LOG_LEVEL",
    ]
    assert "at 3: 'a': the key 'a' is taken by the need at 0" in faults[0]


def test_variable_that_is_no_text_is_a_fault_like_any_other() -> None:
    """The init's error names the variable that is not UTF-8."""

    def getenv(name: str) -> str | None:
        if name in {"NEEDED_SERVICES", "AWS_SECRET_ACCESS_KEY"}:
            raise ValueError("it is not UTF-8")
        return _ENVIRONMENT.get(name)

    with pytest.raises(ConfigError) as refused:
        Config.from_env(getenv)

    assert refused.value.faults == [
        "NEEDED_SERVICES: it is not UTF-8",
        "AWS_SECRET_ACCESS_KEY: it is not UTF-8",
    ]


@pytest.mark.parametrize(
    ("own", "lambdas", "level"),
    [
        (None, None, log.WARN),
        ("debug", "ERROR", log.DEBUG),
        ("Info", None, log.INFO),
        (None, "info", log.INFO),
        (None, "TRACE", log.DEBUG),
        (None, "FATAL", log.ERROR),
        (None, "LOUD", log.WARN),
        ("LOUD", "DEBUG", log.DEBUG),
    ],
)
def test_level_of_the_log(own: str | None, lambdas: str | None, level: int) -> None:
    """The extension's variable comes first, then Lambda's, then WARN; faults are reported."""
    names = {"SERVICE_DISCOVERY_LOG_LEVEL": own, "AWS_LAMBDA_LOG_LEVEL": lambdas}
    assert log_level(names.get) == level


def test_form_of_the_log_is_the_functions() -> None:
    """It is JSON if Lambda's variable is JSON, otherwise plain text."""
    for text, expected in (("JSON", True), ("json", True), ("Text", False), (None, False)):
        names = {"AWS_LAMBDA_LOG_FORMAT": text}
        assert logs_json(names.get) is expected


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "NEEDED_SERVICES",
                "SERVICES_FILE",
                "SERVICE_DISCOVERY_TABLE",
                "SERVICE_DISCOVERY_MAX_AGE",
                "SERVICE_DISCOVERY_TIMEOUT_MS",
                "SERVICE_DISCOVERY_STRICT",
                "SERVICE_DISCOVERY_LOG_LEVEL",
                "AWS_REGION",
                "AWS_ENDPOINT_URL",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ]
        ),
        st.text(min_size=1, max_size=30) | st.sampled_from(["true", "/x", "http://x", "1"]),
    )
)
def test_any_environment_is_a_configuration_or_a_config_error(variables: dict[str, str]) -> None:
    """No value causes another exception than ConfigError."""
    with contextlib.suppress(ConfigError):
        assert _config(**variables).services_file.startswith("/")
