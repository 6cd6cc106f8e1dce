"""The API, the stage and the Region in an address."""

import pytest

from registry_client.address import DeployedApi


@pytest.mark.parametrize(
    ("url", "api", "stage", "region"),
    [
        ("https://abc123.execute-api.eu-west-1.amazonaws.com/v1", "abc123", "v1", "eu-west-1"),
        (
            "https://abc123.execute-api.cn-north-1.amazonaws.com.cn/v1/",
            "abc123",
            "v1",
            "cn-north-1",
        ),
        (
            "https://abc123-vpce-01.execute-api.us-east-1.amazonaws.com/v1",
            "abc123",
            "v1",
            "us-east-1",
        ),
        ("http://127.0.0.1:4566/restapis/abc/v1/_user_request_", "abc", "v1", None),
    ],
)
def test_api_stage_and_region_stand_in_the_address(
    url: str, api: str, stage: str, region: str | None
) -> None:
    """A request signed for another Region gets a 403; a policy names the API."""
    assert DeployedApi.of(url) == DeployedApi(api=api, stage=stage, region=region)


@pytest.mark.parametrize(
    "url", ["https://registry.example.com", "https://example.com/v1", "nothing"]
)
def test_custom_domain_does_not_show_its_api(url: str) -> None:
    """The caller has to find the API another way."""
    assert DeployedApi.of(url) is None
