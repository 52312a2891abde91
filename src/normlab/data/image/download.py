"""`normlab data get`: official archives, checked by their published sums, resumed where they stopped.

pooch decides whether a download is needed and checks the sum; the transfer is ours, because pooch starts anew after an
interruption. What has arrived is kept as `<file>.part` and not requested again (HTTP Range).
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from normlab.data.image.known import KNOWN, Known, downloads
from normlab.errors import UserError, did_you_mean
from normlab.file_kind import kind_of_file

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all if the server says

_BLOCK = 1 << 20
_TIMEOUT = 30.0  # seconds without an answer


def download(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
    source: Known | None = None,
) -> Path:
    """Fetch a data set's archive unless it is there already; return its path.

    Args:
        name: one of `list_known()`.
        folder: where to put it; default: the cache, where `load_images(name)` looks.
        progress: called after every block with the bytes so far and in all.
        source: another place and sum than the official ones, e.g. a mirror.
    Raises: UserError when the name is unknown, the site cannot be reached, the transfer breaks off, or the sum is
        wrong; it names the URL and what to do.
    """
    if name == "digits":
        raise UserError("digits is built in: nothing to download, use it as it is (--data digits)")
    if source is None and name not in KNOWN:
        raise UserError(f"unknown data set '{name}': {did_you_mean(name, [*KNOWN, 'digits'])}")
    import pooch

    known = source or KNOWN[name]
    target = Path(folder).expanduser() if folder else downloads()
    transfer = _Transfer(target / f"{known.file}.part", progress)
    pooch.get_logger().setLevel("WARNING")
    try:
        # A wrong file of that name is fetched again, a right one is left alone.
        fetched = pooch.retrieve(
            known.url,
            known_hash=f"md5:{known.md5}",
            fname=known.file,
            path=target,
            downloader=transfer,
        )
    except _TransferError as error:
        raise UserError(
            f"{known.name}: cannot download {known.url} ({error}); run the command again to go on, or fetch the file "
            f"by hand (curl -LO {known.url}) and put it into {target}"
        ) from error
    except ValueError as error:  # pooch's word for a wrong sum
        kind = transfer.kind
        seen = f" and holds {kind}" if kind not in ("", "gzip") else ""
        raise UserError(
            f"{known.name}: what {known.url} sent has not the published MD5 {known.md5}{seen}; "
            f"try again, or fetch the file from another place and put it into {target}"
        ) from error
    except OSError as error:
        raise UserError(f"{known.name}: cannot write to {target} ({error.strerror}); choose another folder") from error
    return Path(fetched)


def list_known() -> list[str]:
    """Return one line per data set that has a name."""
    built_in = f"{'digits':<9}  {0:>4} MB  1,797 handwritten digits enlarged to 32x32, 10 classes; built in"
    return [built_in, *map(str, KNOWN.values())]


class _TransferError(Exception):
    """The transfer did not end; what has arrived is kept."""


class _Transfer:
    """A downloader for pooch: fills the .part file from where it ends, then renames it."""

    def __init__(self, part: Path, progress: Progress | None) -> None:
        self._part = part
        self._progress = progress or (lambda done, total: None)
        self.kind = ""  # what the file holds that was sent, if its first bytes say so

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        try:
            total = self._fetch(url)
        except (OSError, http.client.HTTPException) as error:
            raise _TransferError(_reason(error)) from error
        size = self._part.stat().st_size
        if total is not None and size < total:
            raise _TransferError(f"broke off after {size} of {total} bytes")
        self.kind = kind_of_file(self._part)
        os.replace(self._part, output_file)

    def _fetch(self, url: str) -> int | None:
        """Append what is missing to the .part file; return the length that the server announced."""
        done = self._part.stat().st_size if self._part.exists() else 0
        headers = {"Range": f"bytes={done}-"} if done else {}
        try:
            response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and done:
                return None  # there is nothing after the end of our part: it is whole, or its sum will tell
            raise
        with response:
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                done = 0  # the server knows no ranges and sends all of it
            length = response.headers.get("Content-Length")
            total = done + int(length) if length else None
            with open(self._part, "ab" if done else "wb") as file:
                while block := response.read(_BLOCK):
                    file.write(block)
                    done += len(block)
                    self._progress(done, total)
        return total


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split()) or type(error).__name__
