"""The request of docs/api.md, sent by curl as it is: its signature is verified by botocore."""

import os
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.docs.listings import the_listing
from tests.functional.http_gateway import KEY_ID, REGION, SECRET_KEY, TOKEN, HttpGateway


def test_curl_publishes_with_a_signed_request(gateway: HttpGateway) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")

    sent = subprocess.run(
        ["bash", "-euc", the_listing("docs/api.md", "sh")],
        env={
            "PATH": os.environ["PATH"],
            "NO_PROXY": "127.0.0.1",
            "REGISTRY": gateway.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_SESSION_TOKEN": TOKEN,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert sent.returncode == 0, sent.stderr
    assert '"published_at"' in sent.stdout
