"""The requests of docs/api.md, sent by curl as they are: their signatures are verified."""

import json
import os
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.docs.listings import listings
from tests.functional.http_gateway import (
    KEY_ID,
    REGION,
    SECRET_KEY,
    TOKEN,
    USER_KEY_ID,
    HttpGateway,
)


@pytest.mark.parametrize(
    "credentials",
    [
        {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SESSION_TOKEN": TOKEN},
        {"AWS_ACCESS_KEY_ID": USER_KEY_ID, "AWS_SESSION_TOKEN": ""},
        {"AWS_ACCESS_KEY_ID": USER_KEY_ID},
    ],
    ids=["role", "user", "user-without-variable"],
)
def test_curl_sends_the_documented_requests_signed(
    gateway: HttpGateway, credentials: dict[str, str]
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    shell = [each.text for each in listings(ROOT / "docs/api.md") if each.language == "sh"]

    sent = subprocess.run(
        ["bash", "-ec", "\necho\n".join(shell)],
        env={
            "PATH": os.environ["PATH"],
            "NO_PROXY": "127.0.0.1",
            "REGISTRY": gateway.url,
            "AWS_REGION": REGION,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            **credentials,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert sent.returncode == 0, sent.stderr
    documents, text = [], sent.stdout
    while text.strip():
        document, end = json.JSONDecoder().raw_decode(text.lstrip())
        documents.append(document)
        text = text.lstrip()[end:]
    published, shown, resolved = documents
    assert published["version"] == "1.4.2"
    assert shown["latest"] == published
    assert set(resolved["services"]) == {"users", "billing"}
    assert [each.method for each in gateway.requests] == ["PUT", "GET", "POST"]
