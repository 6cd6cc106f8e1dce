"""Run the cases of tests/vectors/helpers.json: `python run_cases.py FOLDER`, Python 3.9 or later.

It runs under interpreters without pytest. The Node.js helper runs the
same cases in cases.test.mjs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import service_discovery

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CASES = Path(__file__).resolve().parents[2] / "vectors/helpers.json"
_FIELDS = ("arn", "version", "status", "metadata", "resolved_at")


def faults_of(case: dict[str, Any], folder: Path) -> list[str]:
    """Run one case with a services file in *folder*; return the differences."""
    path = folder / "services.json"
    path.unlink(missing_ok=True)
    text = json.dumps(case["document"]) if "document" in case else case["text"]
    if text is not None:
        path.write_text(text, encoding="utf-8")
        ago = case.get("checked_s_ago", 10)
        checked_at = 0 if ago is None else time.time() - ago
        os.utime(path, (checked_at, checked_at))
    os.environ["SERVICES_FILE"] = str(path)
    os.environ["NEEDED_SERVICES"] = case.get("needed", "")
    try:
        service = service_discovery.get_service(case["name"], max_age=case.get("max_age"))
    except service_discovery.ServiceDiscoveryError as error:
        return _faults_of_error(case, error)
    seen = {name: getattr(service, name) for name in _FIELDS}
    if seen != case.get("service"):
        return [f"expected {case.get('service', case.get('error'))}, got {seen}"]
    if not float(case["age_from"]) <= service.age <= float(case["age_to"]):
        return [f"expected an age from {case['age_from']} to {case['age_to']}, got {service.age}"]
    return []


def _faults_of_error(case: dict[str, Any], error: Exception) -> list[str]:
    if type(error).__name__ != case.get("error"):
        return [f"expected {case.get('error', case.get('service'))}, got {error!r}"]
    return [f"{part!r} is not in {str(error)!r}" for part in case["says"] if part not in str(error)]


def main(folder: Path) -> int:
    """Run all cases and print the faults; return 1 if there are any."""
    cases = json.loads(CASES.read_text(encoding="utf-8"))
    found = [f"{case['what']}: {fault}" for case in cases for fault in faults_of(case, folder)]
    print("\n".join([*found, f"{len(cases)} cases, {len(found)} faults"]))
    return 1 if found or not cases else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
