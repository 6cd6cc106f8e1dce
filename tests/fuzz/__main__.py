"""Fuzz the parsers with changed inputs of each grammar: python -m tests.fuzz [INPUTS]."""

import base64
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import h11

from local.execution_environment import own_arch
from registry_model import strict_json
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = 5_000
_LONGEST_S = 5
# MicroPython runs this many inputs of every block.
_SHARED = 500
_REFUSALS = ("HttpError", "ValueError", "refused", "again", "CredentialsError", "PlatformError")

_DOCUMENTS = [
    b'{"a": 1, "b": [true, false, null, -1.5e3], "c": {"d": "\\u00e9\\ud83d\\ude00\\n"}}',
    b'["\\\\", "\\"", "\xc3\xa9", 0, 12345678901234567890, {}]',
    b' "text" ',
    b"{}",
]
# A CA's certificate with a critical name constraint.
_CERTIFICATE = base64.b64decode(
    "MIIBhjCCASugAwIBAgIUCRCI/v+1MrBLMkLelpRXRaDfBWUwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHVGVzdCBDQT"
    "AeFw0yNjExMjMxNDU0MzBaFw0yNjExMjcxNDU0MzBaMBIxEDAOBgNVBAMMB1Rlc3QgQ0EwWTATBgcqhkjOPQIBBggq"
    "hkjOPQMBBwNCAASxboFO691AvXrJAL8IZB4pudWmVQ90DB5ro9LEo1hh2cVdYNZDV/NgmuMA6fpHjgbIgZzVz7OnMX"
    "daqE0qkfPGo18wXTAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBhjAdBgNVHQ4EFgQUz3Fcn/qGGJGbxSxl"
    "dVxlhNI5/N0wGwYDVR0eAQH/BBEwD6ANMAuCCWNvcnAudGVzdDAKBggqhkjOPQQDAgNJADBGAiEA4irVu6Iiu7zIh9"
    "4BdELUyHsudIUSPn5N0oIYBIdb+mcCIQCQO0T8QCf1zGyhaHuWSUsf9mtL4YaEBBTtryzOiyY9Jw=="
)
# Grammars that are not JSON.
_TEXTS = ("http", "needs", "certificate", "proxy", "date")
_SEEDS = {
    "http": [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\nuntil the end",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    ],
    "json": _DOCUMENTS,
    "needs": [
        b"users,billing==1.x, old:users~=1.4 ,mail@beta,pay>=2",
        b"a==1.2.3-rc.1+b,b == latest,\tc==1.*",
        "ü,users=1,a:b:c,users<2,users".encode(),
    ],
    "leftover": [
        (
            b'{"users": {"requested": "latest", "version": "1.0.0", "arn": "a", "status": "active",'
            b' "metadata": {"k": "v"}, "resolved_at": "t"}}'
        ),
        (
            b'{"mail": {"requested": "1.x", "version": "1.0.0", "arn": "a", "status": "yanked",'
            b' "reason": "broken", "resolved_at": "t"}}'
        ),
        b'{"old": {"requested": "1.x", "service": "u", "status": "missing", "error": "e"}}',
    ],
    "batch": [
        (
            b'{"Responses": {"index": [{"service": {"S": "users"}, "selector": {"S": "latest"},'
            b' "version": {"S": "1.0.0"}, "arn": {"S": "a"}, "status": {"S": "active"},'
            b' "revision": {"N": "1"}, "updated_at": {"S": "t"}}]}, "UnprocessedKeys": {"index":'
            b' {"Keys": [{"service": {"S": "billing"}, "selector": {"S": "1.x"}}]}}}'
        ),
        b'{"__type": "com.amazonaws#ThrottlingException", "message": "slow down"}',
    ],
    "keys": [b'{"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c"}'],
    "certificate": [_CERTIFICATE, _CERTIFICATE + _CERTIFICATE],
    "proxy": [b"http://us%40er:s3cret@proxy.example:3128/", b"//proxy:80", b"[2001:db8::9]:3128"],
    "date": [b"Thu, 26 Nov 2026 13:48:47 GMT"],
    "event": [b'{"eventType": "INVOKE", "deadlineMs": 1700000000000, "requestId": "r"}'],
}
_VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    1 << 70,
    "",
    "x",
    "yanked",
    "\U0001f600",
    [],
    ["x"],
    {},
    {"S": 1},
]
_TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"1e9", b"-0", b"\\ud800"),
    *(b"\r\n", b"\n", b"\r", b"0", b"\x00", b"\xff", b"\xc3\xa9", b" ", b"\t", b"==", b"~=", b"@"),
    *(b"HTTP/1.1 ", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"[" * 500, b"9" * 500),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """An input for which a parser breaks a rule."""

    target: str
    seed: int
    data: bytes
    what: str

    def __str__(self) -> str:
        """Return the text to reproduce it."""
        return f"{self.target}: seed {self.seed}: {self.what}\n  input: {self.data!r}"


def _with_other_value(value: object, rng: random.Random) -> object:
    """Return a document with another value somewhere."""
    if rng.randrange(5) and isinstance(value, dict) and value:
        name = rng.choice(list(value))
        return {**value, name: _with_other_value(value[name], rng)}
    if rng.randrange(5) and isinstance(value, list) and value:
        at = rng.randrange(len(value))
        return [*value[:at], _with_other_value(value[at], rng), *value[at + 1 :]]
    return rng.choice(_VALUES)


def inputs(target: str, seed: int, count: int) -> Iterator[bytes]:
    """Return changed inputs of a grammar; the same seed gives the same inputs."""
    rng = random.Random(seed)
    seeds = _SEEDS[target] + (_DOCUMENTS if target not in _TEXTS else [])
    for _ in range(count):
        data = rng.choice(seeds)
        if target not in _TEXTS and rng.randrange(2):
            other = _with_other_value(json.loads(data), rng)
            yield json.dumps(other, ensure_ascii=rng.random() < 0.5).encode()
            continue
        for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
            at = rng.randint(0, len(data))
            end = min(len(data), at + rng.randint(0, 12))
            data = rng.choice(
                (
                    data[:at],
                    data[:at] + data[end:],
                    data[:at] + data[at:end] * rng.randint(2, 4) + data[end:],
                    data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
                    data[:at] + rng.choice(_TOKENS) + data[at:],
                    data[:at] + rng.choice(_TOKENS) + data[end:],
                    data[:at] + rng.choice(seeds)[at:],
                )
            )
        yield data


def h11_response(data: bytes) -> tuple[int, bytes] | None:
    """Return a complete response, parsed by h11; None if h11 refuses it or waits for more."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


def _check_http(data: bytes, verdict: str) -> None:
    expected = h11_response(data)
    if expected is None:
        return
    if verdict == "HttpError":
        # The parser refuses other versions and folded headers, which h11 accepts.
        is_foreign = re.search(rb"HTTP/(?!1\.[01] )|\n[ \t]", data)
        assert is_foreign, f"refused, h11 has {expected}"
        return
    status, body = expected
    assert verdict.startswith(f"[{status},"), f"{verdict}, h11 has {expected}"
    assert f",b{body.hex()}," in verdict, f"{verdict}, h11 has {expected}"


def _check_json(data: bytes) -> None:
    try:
        seen: object = strict_json.loads(data)
    except ValueError as error:
        if "too" in str(error):  # The parser's limit.
            return
        seen = ValueError
    try:
        expected: object = json.loads(data.decode())
    except (ValueError, RecursionError):
        expected = ValueError
    try:
        text = "" if expected is ValueError else json.dumps(expected, ensure_ascii=False)
        text.encode()
    except UnicodeError:
        return  # Surrogates without a partner are replaced: UTF-8 can't encode them.
    assert repr(seen) == repr(expected), f"{seen!r}, CPython has {expected!r}"


def _hang(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"no verdict within {_LONGEST_S} s")


def run_block(target: str, seed: int, count: int, micropython: Path) -> Find | None:
    """Run a block under CPython and its beginning under MicroPython; return the first find."""
    signal.signal(signal.SIGALRM, _hang)
    shared: list[tuple[bytes, str]] = []
    for data in inputs(target, seed, count):
        signal.setitimer(signal.ITIMER_REAL, _LONGEST_S)
        try:
            verdict = TARGETS[target](data)
            if target == "http":
                _check_http(data, verdict)
            if target == "json":
                _check_json(data)
        except Exception as error:  # noqa: BLE001  # any is a find
            return Find(target=target, seed=seed, data=data, what=repr(error))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if len(shared) < _SHARED:
            shared.append((data, verdict))
    return _compare(target, seed, shared, micropython)


def _compare(
    target: str, seed: int, shared: list[tuple[bytes, str]], micropython: Path
) -> Find | None:
    lines = "".join([f"{target} {data.hex()}\n" for data, _ in shared])
    try:
        run = subprocess.run(
            [str(micropython), str(ROOT / "tests/fuzz/targets.py")],
            input=lines,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={"MICROPYPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )
        seen = run.stdout.splitlines()
        crash = run.stderr
    except subprocess.TimeoutExpired as error:
        seen = (error.stdout or b"").decode().splitlines()
        crash = "no verdict in time"
    for at, (data, verdict) in enumerate(shared):
        other = seen[at] if at < len(seen) else f"FIND MicroPython ended: {crash}"
        if other.startswith("FIND") or (
            other != verdict and not _may_differ(target, data, verdict)
        ):
            return Find(
                target=target, seed=seed, data=data, what=f"CPython {verdict}, MicroPython {other}"
            )
    return None


def _may_differ(target: str, data: bytes, verdict: str) -> bool:
    """Return whether MicroPython is known to differ for such an input.

    Its JSON accepts documents without some commas, colons and characters, and has no NaN. Its UTF-8
    accepts more bytes for a character than are needed.
    """
    if verdict == "not UTF-8":
        return True
    if target in _TEXTS:
        return False
    return verdict in _REFUSALS or re.search(rb"NaN|Infinity", data) is not None


def build_micropython(folder: Path) -> Path:
    """Build the layer's interpreter, or get it from the cache if nothing has changed."""
    program = folder / "micropython"
    subprocess.run(
        [
            *(sys.executable, str(ROOT / "layer/build.py"), "--arch", own_arch()),
            *("--output", str(folder / "opt"), "--interpreter", str(program)),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return program


def main() -> int:
    """Run all targets on every core; print a line for each."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    first = random.SystemRandom().randrange(1 << 30)
    blocks = max(1, -(-total // len(TARGETS) // _BLOCK))
    found = False
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor() as pool:
        micropython = build_micropython(Path(folder))
        for target in TARGETS:
            begin = monotonic()
            jobs = [
                pool.submit(run_block, target, first + block, _BLOCK, micropython)
                for block in range(blocks)
            ]
            finds = [find for job in jobs if (find := job.result())]
            count = blocks * _BLOCK
            rate = count / (monotonic() - begin)
            print(f"{target:9}{count:9,} inputs {rate:9,.0f}/s {len(finds):3} finds", flush=True)
            for find in finds[:5]:
                print(find)
            found = found or bool(finds)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
