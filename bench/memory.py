"""The extension's memory while answers change, and the processor time of a check.

The server is in this process, over TLS. `docs/performance.md` explains the results.
"""

import ssl
import statistics
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import extension_neighbours as neighbours
from bench import extension_programs
from bench.extension_neighbours import Platform, Run
from bench.report import Row, Table
from testing.arns import ARN
from testing.index_server import IndexServer, item

_CHANGES = 1_000
_SETTLED_AFTER = 100
_SAME = 100
_MOST_KIB = {10: 1_536, 100: 6_144}
_MOST_GROWTH_KIB = 64
_MOST_SHARE = 0.33
_MS_PER_S = 1_000


def tables() -> Iterable[Table]:
    """Measure ten needs without metadata, and 100 with the largest that is allowed."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        program = extension_programs.own(folder / "own")
        chain, bundle = neighbours.make_chain(folder, program.layer / "service-discovery/roots.der")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        with (
            closing(IndexServer(tls=context, name="localhost")) as index,
            neighbours.platform() as platform,
        ):
            measure = _Measurement(index, platform, program.path, folder, bundle)
            yield _table([measure.changes(10, entries=0), measure.changes(100, entries=50)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """The measurements of a run with many changes, and then checks without changes.

    Attributes:
        needs: How many needs there are, all of which change each time.
        resident_kib: The resident memory after each change.
        changed_ms: The processor time of each check that found a change.
        same_ms: The processor time of each check whose response had the same bytes as before.
    """

    needs: int
    resident_kib: list[int] = field(default_factory=list)
    changed_ms: list[float] = field(default_factory=list)
    same_ms: list[float] = field(default_factory=list)

    def early_kib(self) -> int:
        """Return the most memory at first."""
        return max(self.resident_kib[:_SETTLED_AFTER])

    def most_kib(self) -> int:
        """Return the most memory of all."""
        return max(self.resident_kib)

    def growth_kib(self) -> int:
        """Return how much more memory was used after the first changes."""
        return self.most_kib() - self.early_kib()

    def same_share(self) -> float:
        """Return the processor time of a check without a change, as a share of one with it."""
        return statistics.median(self.same_ms) / statistics.median(self.changed_ms)


class _Measurement:
    def __init__(
        self, index: IndexServer, platform: Platform, program: Path, folder: Path, bundle: Path
    ) -> None:
        self._index = index
        self._platform = platform
        self._program = program
        self._folder = folder
        self._bundle = bundle

    def changes(self, needs: int, *, entries: int) -> _Changes:
        """Let all needs change again and again; each has *entries* of 41 bytes as its metadata."""
        found = _Changes(needs=needs)
        services = [f"service-{number}" for number in range(needs)]
        self._publish(services, entries, 0)
        with self._running(services) as run:
            run.start(None)
            for minor in range(1, _CHANGES + 1):
                self._publish(services, entries, minor)
                found.changed_ms.append(_check_ms(run))
                found.resident_kib.append(run.resident_kib())
            for _ in range(_SAME):
                found.same_ms.append(_check_ms(run))
                found.resident_kib.append(run.resident_kib())
        return found

    def _publish(self, services: list[str], entries: int, minor: int) -> None:
        metadata = {"M": {f"entry-{n:02d}-of-50": {"S": f"{minor:025d}"} for n in range(entries)}}
        attributes = {"metadata": metadata} if entries else {}
        for service in services:
            version = item(f"1.{minor}.0", ARN, revision=minor + 1, **attributes)
            self._index.put(service, "latest", version)

    @contextmanager
    def _running(self, services: list[str]) -> Iterator[Run]:
        file = self._folder / "services.json"
        file.unlink(missing_ok=True)
        variables = {
            "NEEDED_SERVICES": ",".join(services),
            "SERVICES_FILE": str(file),
            "SERVICE_DISCOVERY_MAX_AGE": "0",
            "SERVICE_DISCOVERY_TIMEOUT_MS": "30000",
            "AWS_ENDPOINT_URL_DYNAMODB": self._index.url,
            "AWS_CA_BUNDLE": str(self._bundle),
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "SECRET",
            "AWS_SESSION_TOKEN": "TOKEN",
        }
        with neighbours.running(self._platform, self._program, variables) as run:
            yield run


def _check_ms(run: Run) -> float:
    """Return the processor time that an invocation with a check takes."""
    before = run.processor_s()
    run.invoke_ms()
    return (run.processor_s() - before) * _MS_PER_S


def _table(runs: list[_Changes]) -> Table:
    small, large = runs
    return Table(
        title=f"{_CHANGES:,} changes of all needs",
        columns=[f"{small.needs} needs", f"{large.needs} needs, the largest metadata"],
        rows=[
            Row(
                what="resident at the most, KiB",
                values=[f"{each.most_kib():,}" for each in runs],
                limit=f"at most {_MOST_KIB[small.needs]:,} and {_MOST_KIB[large.needs]:,}",
                holds=all(each.most_kib() <= _MOST_KIB[each.needs] for each in runs),
            ),
            Row(
                what=f"… more than in the first {_SETTLED_AFTER}",
                values=[f"{each.growth_kib():,}" for each in runs],
                limit=f"at most {_MOST_GROWTH_KIB}",
                holds=all(each.growth_kib() <= _MOST_GROWTH_KIB for each in runs),
            ),
            Row(
                what="processor time of a check with a change, ms",
                values=[f"{statistics.median(each.changed_ms):.2f}" for each in runs],
            ),
            Row(
                what="… of one with the same bytes, ms",
                values=[f"{statistics.median(each.same_ms):.2f}" for each in runs],
            ),
            Row(
                what="… as a share",
                values=[f"{each.same_share():.0%}" for each in runs],
                limit=f"{large.needs} needs: at most {_MOST_SHARE:.0%}",
                holds=large.same_share() <= _MOST_SHARE,
            ),
        ],
        notes="The largest metadata: 50 entries, 2,000 bytes or more, for each need. Medians.",
    )
