"""BERT-like encoders and their tokenizers, from the hub or a folder: the only module that imports transformers.

What a trained model needs to be rebuilt without either is its card: the encoder's configuration and its tokenizer,
plain JSON. Weights are read as safetensors only, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from normlab.errors import UserError

DEFAULT_ENCODER = "google-bert/bert-base-cased"


def encoder_card(source: str = DEFAULT_ENCODER) -> dict[str, Any]:
    """Return the card of an encoder: source, configuration, tokenizer, special pieces, most pieces.

    Args:
        source: a name on the hub, or a folder with config.json, tokenizer.json and model.safetensors.
    Raises: `UserError` if transformers is not installed, or there is no such encoder here and none can be fetched.
    """
    transformers = _transformers()
    config = _from(source, transformers.AutoConfig.from_pretrained)
    tokenizer = _from(source, transformers.AutoTokenizer.from_pretrained)
    settings = json.loads(config.to_json_string(use_diff=False))
    special = {"cls": tokenizer.cls_token_id, "sep": tokenizer.sep_token_id, "pad": tokenizer.pad_token_id}
    special["unk"] = tokenizer.unk_token_id
    if not tokenizer.is_fast or None in special.values():
        raise UserError(f"'{source}' is not BERT-like (no [CLS], [SEP] or [PAD]): use a BERT, DistilBERT or MiniLM")
    return {
        "source": _absolute(source),
        "config": {name: value for name, value in settings.items() if name != "_name_or_path"},
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        **special,
        "limit": min(512, config.max_position_embeddings),
    }


def encoder_fingerprint(source: str = DEFAULT_ENCODER) -> str:
    """Return 12 hexadecimal digits over an encoder's configuration, tokenizer and weights; "" without weights.

    A trained model holds weights of its own, so it can be measured without those that it began with.
    Raises: `UserError` as `encoder_card`.
    """
    card = {name: value for name, value in encoder_card(source).items() if name != "source"}
    content = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
    files = _weight_files(source)
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                content.update(chunk)
    return content.hexdigest()[:12] if files else ""


def build_encoder(card: Mapping[str, Any]) -> nn.Module:
    """Return the encoder that a card describes, weights as its constructor draws them; nothing is fetched.

    It takes what transformers' models take and has no pooler, which would be trained by nothing.
    """
    transformers = _transformers()
    settings = dict(card["config"])
    config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
    encoder = transformers.AutoModel.from_config(config)
    encoder.pooler = None
    return encoder


def load_pretrained(encoder: nn.Module, card: Mapping[str, Any]) -> None:
    """Fill an encoder of `build_encoder` with the pretrained weights of its source.

    Raises: `UserError` if they are not here and cannot be fetched, or are those of another encoder.
    """
    source = str(card["source"])
    trained = _from(source, _transformers().AutoModel.from_pretrained, use_safetensors=True, dtype="float32")
    trained.pooler = None
    try:
        encoder.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"'{source}' has changed since the run's card was written ({reason}): train anew") from None


class WordPieces:
    """The tokenizer of a card: text to numbers of word pieces.

    Attributes:
        cls, sep, pad: numbers of the special pieces.
    """

    def __init__(self, card: Mapping[str, Any]) -> None:
        _transformers()  # says what to install
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(card["tokenizer"])
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._known: dict[str, tuple[int, ...]] = {}
        self._unknown = int(card["unk"])
        self.cls, self.sep, self.pad = (int(card[name]) for name in ("cls", "sep", "pad"))

    def pieces(self, text: str) -> tuple[int, ...]:
        """Return the numbers of a text's pieces, at least one; a text without any counts as unknown."""
        pieces = self._known.get(text)
        if pieces is None:
            pieces = tuple(self._tokenizer.encode(text, add_special_tokens=False).ids) or (self._unknown,)
            if len(self._known) < _REMEMBERED:
                self._known[text] = pieces
        return pieces


_REMEMBERED = 200_000


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise UserError("a pretrained encoder needs transformers: pip install 'normlab[bert]'") from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _from(source: str, load: Any, **options: Any) -> Any:
    """Load from a folder or the hub's cache, else from the hub."""
    folder = Path(source).expanduser()
    for local in (True, False):
        try:
            return load(str(folder) if folder.is_dir() else source, local_files_only=local, **options)
        except Exception as error:  # the hub's client raises its own, its transport's and the file's
            reason = error
            if folder.is_dir():
                break
    first = next(iter(str(reason).strip().splitlines()), type(reason).__name__)
    raise UserError(
        f"cannot load the pretrained encoder '{source}' ({first[:120].rstrip('.')}): without the network, give a "
        "folder with its config.json, tokenizer.json and model.safetensors"
    ) from None


def _weight_files(source: str) -> list[Path]:
    """The files with the weights, in order: one, or the parts that an index lists; none if there are none."""
    cached_file = _transformers().utils.cached_file
    try:
        return [Path(_from(source, cached_file, filename="model.safetensors"))]
    except UserError:
        pass
    try:
        index = Path(_from(source, cached_file, filename="model.safetensors.index.json"))
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return [index, *(Path(_from(source, cached_file, filename=name)) for name in names)]
    except (UserError, OSError, ValueError, KeyError, AttributeError):
        return []


def _absolute(source: str) -> str:
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else source
