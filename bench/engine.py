"""Many writers and faulty stream pumps on AWS's DynamoDB Local: counts lost and wrong answers."""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench.report import Row, Table
from testing import engine_run
from testing.dynamodb_local import dynamodb_local

_OPERATIONS = 20_000
_WRITERS = 16


def tables() -> Iterable[Table]:
    """Run the operations, and compare the index with the versions table."""
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        dynamodb_local(Path(folder)) as engine,
    ):
        run = engine_run.run(
            engine.database(), operations=_OPERATIONS, writers=_WRITERS, seed=_WRITERS
        )
    responses = sum(run.statuses.values())
    failed = sum(count for status, count in run.statuses.items() if status == 500)
    busy = run.statuses.get(503, 0)
    rows = [
        Row(
            what="operations",
            values=[f"{responses:,}"],
            limit=f"{_OPERATIONS:,}",
            holds=responses == _OPERATIONS,
        ),
        Row(what="responses with 500", values=[f"{failed}"], limit="0", holds=failed == 0),
        Row(what="responses with 503: too many met on one service", values=[f"{busy:,}"]),
        Row(what="changes made", values=[f"{run.changes:,}"]),
        Row(what="changes lost", values=[f"{run.lost}"], limit="0", holds=run.lost == 0),
        Row(
            what="stream records",
            values=[f"{run.records:,}"],
            limit="one for each change",
            holds=run.records == run.changes,
        ),
        Row(what="records delivered again", values=[f"{run.repeats:,}"]),
        Row(what="workers killed between two calls", values=[f"{run.deaths:,}"]),
        Row(
            what="index items that differ in the end",
            values=[f"{run.differences}"],
            limit="0",
            holds=run.differences == 0,
        ),
        Row(what="seconds", values=[f"{time.monotonic() - started:,.0f}"]),
    ]
    yield Table(
        title=f"{_WRITERS} writers and two stream pumps on DynamoDB Local",
        columns=["seen"],
        rows=rows,
        notes="The pumps deliver in any order, repeat records, and kill a fifth of the workers.",
    )
