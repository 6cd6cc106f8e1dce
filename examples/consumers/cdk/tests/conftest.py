"""Lets the tests import the function as Lambda does."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
