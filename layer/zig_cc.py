"""A C compiler for MicroPython's make files: `zig cc` for one target, with GCC's options.

Two environment variables set the program and the target: ZIG, and ZIG_TARGET (such as
`x86_64-linux-musl`).
"""

import os
import subprocess
import sys

# GNU ld's options for reports, which zig's linker does not have.
_DROPPED = ("-Wl,-Map", "-Wl,--cref", "--cref")


def _command(arguments: list[str]) -> list[str]:
    kept = [word for word in arguments if not word.startswith(_DROPPED)]
    if "-" in kept:
        at = kept.index("-")
        kept[at : at + 1] = ["-x", "c", "-"]
    return [os.environ["ZIG"], "cc", "-target", os.environ["ZIG_TARGET"], *kept]


def main(arguments: list[str]) -> int:
    """Run the compiler once, or for `-E` once for each source.

    With several sources after `-E`, zig uses the machine's headers instead of the target's.
    """
    sources = [word for word in arguments if word.endswith((".c", ".h")) and word[0] != "-"]
    if "-E" not in arguments or len(sources) < 2 or "-o" in arguments:
        return subprocess.run(_command(arguments), check=False).returncode
    options = [word for word in arguments if word not in sources]
    for source in sources:
        status = subprocess.run(_command([*options, source]), check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
