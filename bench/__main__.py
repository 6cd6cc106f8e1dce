"""`python -m bench [name ...]`: run the benchmarks and print their tables."""

import argparse
import importlib
import sys

from bench import report

# In the order of the data flow; each module has `tables() -> Iterable[Table]`.
_BENCHMARKS = (
    "command_line",
    "registry_api",
    "cold_start",
    "index_cost",
    "freshness",
    "scale",
    "extension",
    "slow_registry",
    "memory",
    "fresh_reads",
    "shared_file",
    "helpers",
)

# These need more than the tools in .venv, or take long: they run only if named.
_ON_REQUEST = ("engine", "impact")


def main(arguments: list[str]) -> int:
    """Run the benchmarks that the command line names; return 1 if a limit is broken."""
    known = _BENCHMARKS + _ON_REQUEST
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of: {', '.join(known)}")
    names = parser.parse_args(arguments).names or _BENCHMARKS
    for name in names:
        if name not in known:
            parser.error(f"there is no benchmark {name!r}; there are: {', '.join(known)}")
    holds = True
    for name in names:
        for table in importlib.import_module(f"bench.{name}").tables():
            print(report.render(table), end="\n\n", flush=True)
            holds = holds and table.holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
