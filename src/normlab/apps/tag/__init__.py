"""People's own text with its entities marked, in the formats that other programs read: `normlab tag`.

Read `passages.py` first (lines of text to entities with their places), then `formats.py`.
"""

from normlab.apps.tag.formats import FORMATS
from normlab.apps.tag.passages import Entity, Passage, TaggedSentence, tagged
from normlab.apps.tag.sources import Source, source_of

__all__ = ["FORMATS", "Entity", "Passage", "Source", "TaggedSentence", "source_of", "tagged"]
