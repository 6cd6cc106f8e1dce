"""Readers of the services file in several languages always read one whole document."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testing.arns import ARN
from testing.held_readers import is_held
from testing.index_server import IndexServer, item
from testing.lambda_api import LambdaApi
from testing.waiting import wait_for
from tests.functional.extension.conftest import Start

_SERVICES = [f"service-{number}" for number in range(40)]
_READERS_OF_EACH = 2

# Each reads the file $1 repeatedly until $2 exists, and prints the number of reads. It fails if the
# file is missing, empty, truncated or of two generations, or if an older generation comes back.
_PYTHON = """
import json, os, sys
reads, last = 0, 0
while not os.path.exists(sys.argv[2]):
    with open(sys.argv[1], encoding="utf-8") as file:
        members = json.load(file)
    (version,) = {member["version"] for member in members.values()}
    generation = int(version.split(".")[1])
    assert generation >= last, (generation, last)
    reads, last = reads + 1, generation
print(reads)
"""
_PERL = r"""
my ($reads, $last) = (0, 0);
until (-e $ARGV[1]) {
    open(my $file, "<", $ARGV[0]) or die "missing: $!";
    my $text = do { local $/; <$file> };
    $text =~ /\A\{.*\}\n\z/s or die "cut";
    my %seen = map { $_ => 1 } $text =~ /"version": "1\.(\d+)\.0"/g;
    my @generations = keys %seen;
    @generations == 1 && $generations[0] >= $last or die "not of one moment: @generations";
    $last = $generations[0];
    $reads++;
}
print "$reads\n";
"""
_SHELL = r"""
reads=0
until [ -e "$2" ]; do
    text=$(cat "$1") || exit 1
    case "$text" in "{"*"}") ;; *) echo "cut" >&2; exit 1 ;; esac
    reads=$((reads + 1))
done
echo $reads
"""
_NODE = """
const fs = require("fs");
let reads = 0, last = 0;
while (!fs.existsSync(process.argv[2])) {
  const members = Object.values(JSON.parse(fs.readFileSync(process.argv[1], "utf8")));
  const versions = new Set(members.map((member) => member.version));
  const generation = Number([...versions][0].split(".")[1]);
  if (versions.size !== 1 || generation < last) throw new Error([...versions].join());
  last = generation;
  reads += 1;
}
console.log(reads);
"""
# Perl and the shell are part of every Debian; Node.js may be missing.
_COMMANDS = [
    [sys.executable, "-c", _PYTHON],
    ["perl", "-e", _PERL, "--"],
    ["sh", "-c", _SHELL, "sh"],
    *([["node", "-e", _NODE, "--"]] if shutil.which("node") else []),
]


def _publish(index: IndexServer, generation: int, metadata_size: int) -> None:
    """Change all items in one step, since a reader may begin a check at any time."""
    metadata = {"M": {"padding": {"S": "x" * metadata_size}}}
    answer = item(f"1.{generation}.0", ARN, revision=generation + 1, metadata=metadata)
    index.items = {(service, "latest"): answer for service in _SERVICES}


@pytest.mark.parametrize(
    ("metadata_size", "changes"), [(10, 100), (60_000, 8)], ids=["small", "of megabytes"]
)
def test_readers_in_tight_loops_never_see_less_than_a_whole_document(
    start: Start,
    lambda_api: LambdaApi,
    index: IndexServer,
    tmp_path: Path,
    metadata_size: int,
    changes: int,
) -> None:
    """This holds from the first moment that function code can run, and while answers change."""
    _publish(index, 0, metadata_size)
    index.delay_s = 3
    extension = start(",".join(_SERVICES), SERVICE_DISCOVERY_TIMEOUT_MS="5000")
    wait_for(lambda: bool(lambda_api.posted("register")), "the registration")
    stop = tmp_path / "stop"
    readers = [
        subprocess.Popen(
            [*command, str(extension.services_file), str(stop)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in _COMMANDS
        for _ in range(_READERS_OF_EACH)
    ]
    wait_for(lambda: all(is_held(reader.pid) for reader in readers), "the held readers")

    lambda_api.wait_until_ready()
    index.delay_s = 0
    for generation in range(1, changes + 1):
        _publish(index, generation, metadata_size)
        lambda_api.invoke()
    stop.touch()
    ended = [(*reader.communicate(), reader.returncode) for reader in readers]

    for reads, errors, status in ended:
        assert (errors, status) == ("", 0)
        assert int(reads) > 0
    document = json.loads(extension.services_file.read_text(encoding="utf-8"))
    assert {member["version"] for member in document.values()} == {f"1.{changes}.0"}
