"""Fakes of Lambda's Extensions API and of DynamoDB, and certificates, for tests and benchmarks."""
