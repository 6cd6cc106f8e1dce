"""Reproducible ZIP files."""

import zipfile
from pathlib import Path

# The earliest date in the ZIP format.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_zip(folder: Path, path: Path) -> None:
    """Pack the files of *folder* into a ZIP file at *path*.

    They are not compressed, since compressed data would depend on the machine's zlib.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(path.name + ".new")
    with zipfile.ZipFile(staged, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _DATE)
            entry.create_system = 3
            entry.external_attr = (0o100000 | (file.stat().st_mode & 0o777)) << 16
            archive.writestr(entry, file.read_bytes())
    staged.replace(path)
