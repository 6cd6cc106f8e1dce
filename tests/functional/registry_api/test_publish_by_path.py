"""`PUT /services/{name}/versions/{version}`: a publish that IAM can grant for one service."""

from typing import Any
from urllib.parse import urljoin

import pytest

from tests.functional.registry_api.gateway import ARN, OTHER_ARN, PROBLEM, Call, publication

PATH = "/services/users/versions/1.4.2"


def test_publish_by_path_is_the_same_as_by_body(call: Call) -> None:
    """A publish by one route can be repeated by the other."""
    first = call("PUT", PATH, {"arn": ARN, "metadata": {"commit": "abc"}, "channel": "beta"})
    again = call("POST", "/services", publication(metadata={"commit": "abc"}))
    third = call("PUT", PATH, {"arn": ARN, "metadata": {"commit": "abc"}})

    assert (first.status, again.status, third.status) == (201, 200, 200)
    assert first.document == again.document == third.document
    assert first.headers["ETag"] == third.headers["ETag"]
    assert call("GET", PATH).document == first.document
    assert call("GET", "/services/users").document["channels"] == {"beta": "1.4.2"}
    assert call("GET", "/services/users").document["revision"] == 1
    assert call("PUT", PATH, {"arn": OTHER_ARN}).document["current"] == first.document


@pytest.mark.parametrize(
    "base", ["https://x.example/v1", "https://x.example", "https://x.example/a/b"]
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_location_is_right_for_every_base_path(call: Call, base: str, slash: str) -> None:
    """A relative reference (RFC 3986, section 5) does not depend on the registry's address."""
    posted = call("POST", "/services" + slash, publication()).headers["Location"]
    call("DELETE", PATH)
    put = call("PUT", PATH + slash, {"arn": ARN}).headers["Location"]

    assert urljoin(f"{base}/services{slash}", posted) == base + PATH
    assert urljoin(f"{base}{PATH}{slash}", put) == base + PATH
    if not slash:
        assert (posted, put) == ("services/users/versions/1.4.2", "1.4.2")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/services/-users/versions/1.0.0", "a letter or a digit must come first"),
        ("/services/us%20ers/versions/1.0.0", "is not allowed"),
        (f"/services/{'n' * 65}/versions/1.0.0", "longer than 64"),
        ("/services/users/versions/v1.2", "v1.2"),
        ("/services/users/versions/1.2", "three numbers"),
        ("/services/users/versions/01.2.3", "01"),
        ("/services/users/versions/1.2.3+abc", "build metadata"),
    ],
)
def test_malformed_path_is_a_404_that_says_why(call: Call, path: str, reason: str) -> None:
    """The pipeline's log has to say what to correct."""
    response = call("PUT", path, {"arn": ARN})

    assert response.status == 404
    assert response.headers["Content-Type"] == PROBLEM
    assert reason in response.document["detail"]
    assert call("GET", "/services").document["services"] == []


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ({}, ["/arn"]),
        ({"arn": "users"}, ["/arn"]),
        ({"arn": ARN, "name": "users"}, ["/name"]),
        ({"arn": ARN, "version": "1.4.2"}, ["/version"]),
        ({"arn": ARN, "chanel": "beta"}, ["/chanel"]),
        ({"arn": ARN, "metadata": {"": "v"}}, ["/metadata/"]),
    ],
)
def test_body_must_not_repeat_the_path(
    call: Call, document: dict[str, Any], pointers: list[str]
) -> None:
    """A name in the body could differ from the granted one."""
    response = call("PUT", PATH, document)

    assert response.status == 422
    assert response.pointers() == pointers
    assert call("GET", "/services/users").status == 404


def test_new_version_has_at_most_2048_bytes_of_metadata(call: Call) -> None:
    """Names and values in UTF-8 count: every consumer's services file has them."""
    fits = {"k": "\u20ac" * 682, "x": ""}

    assert sum(len((key + value).encode()) for key, value in fits.items()) == 2_048
    assert call("PUT", PATH, {"arn": ARN, "metadata": fits}).status == 201
    refused = call(
        "PUT", "/services/users/versions/2.0.0", {"arn": ARN, "metadata": fits | {"y": ""}}
    )
    assert refused.status == 422
    assert refused.pointers() == ["/metadata"]
    assert "2,048" in refused.document["detail"]
