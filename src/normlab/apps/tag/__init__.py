"""People's own text with its entities marked, in the formats that other programs read: `normlab tag`.

Read `passages.py` first (lines of text to entities with their places), then `formats.py`. `wrapped_lines.py` joins
lines that were broken at a width.
"""

from normlab.apps.tag.formats import FORMATS
from normlab.apps.tag.passages import Entity, Passage, TaggedSentence, tagged
from normlab.apps.tag.sources import Source, source_of
from normlab.apps.tag.wrapped_lines import MODES, paragraphs

__all__ = ["FORMATS", "MODES", "Entity", "Passage", "Source", "TaggedSentence", "paragraphs", "source_of", "tagged"]
