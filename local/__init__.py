"""The embedded local stack: the whole product on one machine, without an AWS account."""
