"""`python -m local.picture FILE`: run the demo, and write what it prints as an SVG picture."""

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from local.processes import ROOT

_WIDTH = 112
# Rich's frame without its web fonts: a picture must not load anything.
_FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>What `make demo` prints</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""
_HEADING = re.compile(r"^\d+\. ")
_FACT = re.compile(r"^   (?:\w+ = |PUT |index:)")
_TIME = re.compile(r"^   done in .*\n|, in [\d.]+ s(?=\.$)", re.MULTILINE)
_CHANGED = re.compile(r"users:[12]\b|\b1\.[45]\.[02]\b")


def _styled(line: str) -> Text:
    text = Text(line)
    if _HEADING.match(line):
        text.stylize("bold cyan")
    elif _FACT.match(line):
        text.stylize("green")
    text.highlight_regex(_CHANGED, "bold yellow")
    return text


def picture(output: str) -> str:
    """Return the demo's output as an SVG picture.

    It has no times of the steps, since they depend on the machine.
    """
    console = Console(
        record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text("$ make demo", style="bold"))
    for line in _TIME.sub("", output.rstrip()).splitlines():
        console.print(_styled(line), overflow="ellipsis", no_wrap=True)
    svg = console.export_svg(title="make demo", theme=MONOKAI, code_format=_FRAME, unique_id="demo")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main(arguments: list[str]) -> int:
    """Run the demo and write the picture; return the demo's exit status."""
    ran = subprocess.run(
        [sys.executable, "-m", "local", "demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ran.returncode == 0:
        Path(arguments[0]).write_text(picture(ran.stdout), encoding="utf-8")
    else:
        print(ran.stdout)
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
