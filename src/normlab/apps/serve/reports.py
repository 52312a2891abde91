"""Reports of studies, written once into a folder of their own and handed out under names that cannot be guessed.

How a report is written is no matter of this package: the command line hands in the function.
"""

from __future__ import annotations

import secrets
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

from normlab.apps.serve.limits import MEGABYTE, Limits
from normlab.errors import UserError
from normlab.json_file import read_json

SAMPLE = Path(__file__).with_name("sample_study.zip")
SAMPLE_TITLE = "Sample: seven normalizations on CIFAR-10, 100 epochs"
KEPT = 20  # reports; the oldest is removed for the next
WriteReport = Callable[[Path, Path], list[str]]  # study, file to write -> remarks for the reader


class Reports:
    """Reports that are open in the playground.

    Args:
        write: writes the report of a study (a folder or an archive).
        folder: where the reports lie.
    """

    def __init__(self, write: WriteReport, folder: Path, limits: Limits) -> None:
        self._write = write
        self._folder = folder
        self._limits = limits
        self._known: dict[Path, tuple[str, list[str]]] = {}
        self._lock = threading.Lock()

    def report(self, study: Path) -> tuple[str, list[str]]:
        """Return the name of a study's report and the remarks on it. A study that still grows is read each time.

        Raises: UserError if it is no study, or an archive that grows too large.
        """
        with self._lock:
            if study in self._known and study.is_file():
                return self._known[study]
            if study.is_file():
                self._refuse_large(study)
            name = secrets.token_urlsafe(12)
            remarks = self._write(study, self._folder / f"{name}.html")
            self._remove(study)
            self._known[study] = name, remarks
            while len(self._known) > KEPT:
                self._remove(next(iter(self._known)))
            return name, remarks

    def file(self, name: str) -> Path | None:
        """Return the file of a report that was written here; None for any other name."""
        names = {known for known, _ in self._known.values()}
        return self._folder / f"{name}.html" if name in names else None

    def _remove(self, study: Path) -> None:
        if study in self._known:
            name, _ = self._known.pop(study)
            (self._folder / f"{name}.html").unlink(missing_ok=True)

    def _refuse_large(self, archive: Path) -> None:
        try:
            with zipfile.ZipFile(archive) as entries:
                size = sum(entry.file_size for entry in entries.infolist())
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
            return  # no archive: its reader says so
        if size > self._limits.unpacked:
            raise UserError(
                f"{archive.name}: {size / MEGABYTE:,.0f} MB unpacked, at most {self._limits.unpacked / MEGABYTE:g} MB "
                "are opened here: make its report with `normlab report`"
            )


def title_of(study: Path) -> str:
    """Return what a study is called in a list."""
    if study.is_dir():
        about = read_json(study / "study.json")
        if isinstance(about, dict) and isinstance(title := about.get("title"), str):
            return f"{title} ({study.name})"
    return study.name
