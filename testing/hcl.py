"""Terraform's language, parsed by HashiCorp's parser, which is in an npm package.

Terraform itself needs the AWS provider, which only HashiCorp's registry and its mirrors have. With
a mirror, tests/e2e/test_terraform.py applies the examples. Without one, the tests check only the
grammar, and that all resources and data sources in expressions are defined.
"""

import json
import re
import subprocess
from typing import Any

from testing import node_packages

_PARSE = """
const { parse } = require("@cdktf/hcl2json");
parse("main.tf", require("fs").readFileSync(0, "utf8")).then(
  (found) => console.log(JSON.stringify(found)),
  (error) => { console.error(String(error)); process.exitCode = 1; },
);
"""
_REFERENCE = re.compile(r"\b(data\.)?((?:aws|archive)_\w+)\.(\w+)\.\w+")


def parse(text: str) -> Any:
    """Parse a configuration; the test fails if it is malformed."""
    ended = subprocess.run(
        [node_packages.node(), "-e", _PARSE],
        cwd=node_packages.node_modules().parent,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def undefined(document: Any) -> set[str]:
    """Return the undefined resources and data sources in the expressions of a configuration."""
    found = set()
    for is_data, kind, name in _REFERENCE.findall(json.dumps(document)):
        blocks = document.get("data" if is_data else "resource", {})
        if name not in blocks.get(kind, {}):
            found.add(f"{is_data}{kind}.{name}")
    return found
