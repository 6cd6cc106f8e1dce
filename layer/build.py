"""Build the extension's layer: `python3 layer/build.py --arch x86_64 --output FOLDER`."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import archive
import contents
import interpreter_build
import sources

_OLDEST_PYTHON = (3, 11)


def _say(text: str) -> None:
    print(f"layer: {text}", file=sys.stderr, flush=True)


def build(arch: str, output: Path | None, zip_file: Path | None, interpreter: Path | None) -> None:
    """Build the layer of *arch*; write the folder, the ZIP file and the interpreter if requested.

    Raises:
        interpreter_build.BuildError: A step of the build failed.
        sources.SourceError: A pinned source was not found.
    """
    contents.check_links()
    modules = contents.portable_modules()
    built = interpreter_build.interpreter(arch, modules, _say)
    tools = interpreter_build.toolchain(interpreter_build.cache_folder(), _say)
    if interpreter:
        # With the name `micropython`, the binary is a plain interpreter, for the tests.
        interpreter.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(built.binary, interpreter)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "layer"
        contents.write_layer(folder, arch, built, tools, modules)
        if zip_file:
            archive.write_zip(folder, zip_file)
        if output:
            # SAM creates the folder before the build, so it must not be replaced.
            output.mkdir(parents=True, exist_ok=True)
            for path in output.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(folder, output, dirs_exist_ok=True)


def main(arguments: list[str]) -> int:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=sorted(interpreter_build.TARGETS), required=True)
    parser.add_argument("--output", type=Path, help="the folder to write the layer to")
    parser.add_argument("--zip", type=Path, help="the ZIP file to write")
    parser.add_argument(
        "--interpreter", type=Path, help="where to copy the binary to; name it `micropython`"
    )
    wanted = parser.parse_args(arguments)
    try:
        build(wanted.arch, wanted.output, wanted.zip, wanted.interpreter)
    except (interpreter_build.BuildError, sources.SourceError) as error:
        _say(str(error))
        return 1
    for path in (wanted.output, wanted.zip, wanted.interpreter):
        if path:
            _say(f"{wanted.arch}: {path}")
    return 0


if __name__ == "__main__":
    if sys.version_info < _OLDEST_PYTHON:
        sys.exit(f"layer: Python 3.11 or later is needed, and this is {sys.version.split()[0]}")
    sys.exit(main(sys.argv[1:]))
