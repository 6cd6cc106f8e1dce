"""Argument types; a malformed argument is a usage error, and no request is sent."""

import click

from registry_model.needs import NeedsError, name_fault, parse_needs
from registry_model.text import DIGITS, first_not_in
from registry_model.version import Version, VersionError

_ACCOUNT_DIGITS = 12


class NameArgument(click.ParamType):
    """The name of a service or of a channel."""

    name = "name"

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> str:
        """Return the name, if it is well-formed."""
        fault = name_fault(value)
        if fault:
            self.fail(f"{value!r}: {fault}", param, context)
        return value


class VersionArgument(click.ParamType):
    """A version."""

    name = "version"

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> str:
        """Return the version, if it is well-formed."""
        try:
            return str(Version.parse(value))
        except VersionError as error:
            self.fail(str(error), param, context)


class NeedsArgument(click.ParamType):
    """Needs, as in NEEDED_SERVICES."""

    name = "needs"

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> str:
        """Return the needs, if they are well-formed."""
        try:
            parse_needs(value)
        except NeedsError as error:
            self.fail(str(error), param, context)
        return value


class AccountArgument(click.ParamType):
    """The id of an AWS account."""

    name = "account"

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> str:
        """Return the id, if it is well-formed."""
        if len(value) != _ACCOUNT_DIGITS or first_not_in(value, DIGITS):
            self.fail(f"{value!r} should have {_ACCOUNT_DIGITS} digits", param, context)
        return value


NAME, VERSION, NEEDS = NameArgument(), VersionArgument(), NeedsArgument()
ACCOUNT = AccountArgument()
