"""Publishes service versions for CloudFormation's custom resources and for Terraform."""
