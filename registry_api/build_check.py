"""Checks that the function's packages were built for the Python that it runs on."""

import importlib
import sys


class OtherPythonError(ImportError):
    """The function was built for another Python than it runs on."""

    def __init__(self, reason: object) -> None:
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        super().__init__(
            f"the function runs on {python} and was built for another one ({reason}): give sam "
            "build and sam deploy the same --parameter-overrides PythonRuntime=..."
        )


def require_matching_python() -> None:
    """Import the one package that is compiled for a version of Python.

    `sam deploy --guided` offers the template's default, even if `sam build` was given another one.

    Raises:
        OtherPythonError: It was compiled for another version.
    """
    try:
        importlib.import_module("pydantic_core")
    except ImportError as error:
        raise OtherPythonError(error) from error
