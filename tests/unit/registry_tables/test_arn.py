"""ARNs of every partition, and malformed ones."""

import pytest

from registry_tables.arn import Arn, ArnError

GOOD = [
    "arn:aws:lambda:eu-west-1:123456789012:function:users:42",
    "arn:aws-cn:lambda:cn-north-1:123456789012:function:users",
    "arn:aws-us-gov:states:us-gov-west-1:123456789012:stateMachine:flow",
    "arn:aws-iso-b:sqs:us-isob-east-1:123456789012:queue",
    "arn:aws-eusc:lambda:eusc-de-east-1:123456789012:function:users:live",
    "arn:aws:s3:::bucket/with space/ümlaut",
    "arn:aws:iam::aws:policy/ReadOnlyAccess",
    "arn:aws:imagebuilder:eu-west-1:aws-marketplace:component/agent/1.0.0/1",
    "arn:aws:imagebuilder:eu-west-1:third-party:component/scanner/x.x.x",
    "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1",
    "arn:aws:execute-api:us-east-1:123456789012:abc/*/GET/x",
    "arn:aws:s3:::" + "k" * (2_048 - 13),
]
BAD = {
    "": "should be",
    "users": "should be",
    "arn:aws:lambda:eu-west-1:123456789012": "should be",
    "urn:aws:lambda:eu-west-1:123456789012:x": "should be",
    "arn:azure:lambda:eu-west-1:123456789012:x": "partition",
    "arn:aws::eu-west-1:123456789012:x": "service",
    "arn:aws:Lambda:eu-west-1:123456789012:x": "service",
    "arn:aws:lambda:EU:123456789012:x": "Region",
    "arn:aws:lambda:eu-west-1:12345:x": "account",
    "arn:aws:lambda:eu-west-1:AWS:x": "account",
    "arn:aws:lambda:eu-west-1:third--party:x": "account",
    "arn:aws:lambda:eu-west-1:1234567890123:x": "account",
    "arn:aws:lambda:eu-west-1:123456789012:": "no resource",
    "arn:aws:lambda:eu-west-1:123456789012:x\n": "characters",
    "arn:aws:s3:::" + "k" * 2_048: "longer than 2,048",
}


@pytest.mark.parametrize("text", GOOD)
def test_well_formed_arn_is_parsed_and_formatted_back(text: str) -> None:
    """Functions get exactly the text that a pipeline publishes."""
    assert str(Arn.parse(text)) == text


@pytest.mark.parametrize("text", BAD)
def test_malformed_arn_is_refused_with_the_part_at_fault(text: str) -> None:
    """The pipeline's log says what to correct."""
    with pytest.raises(ArnError, match=BAD[text]):
        Arn.parse(text)
