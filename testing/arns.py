"""ARNs for tests."""

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users:42"
OTHER_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users:43"
