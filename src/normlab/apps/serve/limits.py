"""What one visitor may ask of the machine: sizes, times and how many at once."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits of the playground.

    Attributes:
        upload: bytes of a file.
        request: bytes of any other request.
        seconds: deadline of a query.
        rows: of an answer.
        characters: of a text or a query.
        unpacked: bytes of a study's archive, unpacked.
        waiting: requests that may wait for their turn; models compute for one at a time.
        pages: open pages that are remembered, about 0.1 MB each; Gradio would keep the last 10,000.
    """

    upload: int = 50 * MEGABYTE
    request: int = MEGABYTE
    seconds: float = 10.0
    rows: int = 100
    characters: int = 10_000
    unpacked: int = 500 * MEGABYTE
    waiting: int = 30
    pages: int = 200

    @property
    def upload_text(self) -> str:
        """The largest upload in words."""
        return f"{self.upload / MEGABYTE:g} MB"
