"""Finds the consumers among an account's Lambda functions, and records what they need."""
