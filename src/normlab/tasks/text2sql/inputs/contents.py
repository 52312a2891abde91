"""Which contents a run saw: hashes of everything that its numbers depend on and that its settings only name.

Whoever trains and measures on other questions, schemas, cells, vectors or encoder weights has another experiment; the
engine refuses to go on with one, and a study says where its cells mix two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from normlab.data.sql.spider import Example, find_database
from normlab.data.sql.sqlite_content import content_hash
from normlab.data.text.embedding_files import VectorSource
from normlab.errors import UserError
from normlab.nn.pretrained import encoder_fingerprint
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.inputs.rows import Rows


def fingerprint_parts(rows: Rows) -> dict[str, str]:
    """Return {"questions": hash of the questions and schemas, "databases": hash of the databases' contents}.

    Databases are those that a question asks about: their cells are linked, and queries run on them.
    """
    return {"questions": _questions(rows), "databases": _databases(rows)}


def whole_fingerprint(parts: Mapping[str, str]) -> str:
    """Return one fingerprint for all parts."""
    return hashlib.sha256("\n".join(f"{name} {value}" for name, value in parts.items()).encode()).hexdigest()[:16]


def input_fingerprints(config: Text2SqlConfig, vectors: VectorSource) -> dict[str, str]:
    """Return what the card keeps of pretrained inputs: of the vectors, or of the encoder, by the name it was given."""
    if not config.pretrained:
        return vectors.fingerprints()
    weights = encoder_fingerprint(config.encoder)
    return {f"encoder {config.encoder}": weights} if weights else {}


def _questions(rows: Rows) -> str:
    content = hashlib.sha256()
    for split, examples in rows.splits.items():
        for row in examples:
            content.update("\x1f".join([split, *_texts(row)]).encode("utf-8", "surrogatepass") + b"\x1e")
    for schema in rows.schemas.values():
        content.update(repr(schema).encode("utf-8", "surrogatepass"))
    return content.hexdigest()[:16]


def _texts(row: Example) -> tuple[str, str, str]:
    return row.db_id, row.question, row.query


def _databases(rows: Rows) -> str:
    """A hash of every database by its name; "none" if there is no file at all."""
    contents = {}
    for db_id in sorted({row.db_id for examples in rows.splits.values() for row in examples}):
        path = find_database(rows.databases, db_id)
        if path is None:
            continue
        try:
            contents[db_id] = content_hash(path)
        except UserError:  # its cells cannot be read either
            contents[db_id] = "unreadable"
    if not contents:
        return "none"
    listed = "\n".join(f"{db_id} {content}" for db_id, content in contents.items())
    return hashlib.sha256(listed.encode("utf-8", "surrogatepass")).hexdigest()[:16]
