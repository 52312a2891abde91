"""The tagger: words and their characters, a BiLSTM, and a score per tag or a chain of them.

Every sentence is computed as if it were alone: the LSTMs take lengths, characters end where the word ends, and the
loss is a sum over the sentence's own words.

Dimensions: B sentences, T words, U distinct spellings, L characters, K tags.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.data.tagging.scheme import legal_transitions
from normlab.data.text.vocabulary import PADDING
from normlab.nn.crf import LinearChainCRF
from normlab.nn.lstm import LayerNormLSTM
from normlab.nn.output import OutputLinear
from normlab.nn.word_embedding import WordEmbedding, uniform_rows
from normlab.tasks.ner.encoding import Batch


class CharacterEncoder(nn.Module):
    """A word's spelling as the two last states of a BiLSTM over its characters (Lample et al. 2016, sec. 4.1).

    It runs once per distinct spelling of the batch, and stops at each word's own end.
    """

    def __init__(self, alphabet: int, dimension: int, hidden: int, *, layer_norm: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(alphabet, dimension))
        self.lstm = LayerNormLSTM(dimension, hidden, bidirectional=True, batch_first=True, layer_norm=layer_norm)
        self.output_size = 2 * hidden

    def reset_parameters(self) -> None:
        """Draw new character vectors; the LSTM draws its own weights."""
        uniform_rows(self.weight)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Map characters (U, L) and lengths (U,) to (U, output_size)."""
        _, (last, _) = self.lstm(F.embedding(characters, self.weight, padding_idx=PADDING), lengths=lengths)
        return torch.cat([last[0], last[1]], dim=-1)


class Tagger(nn.Module):
    """Scores of tags for the words of a batch, the loss of gold tags, the best tags, and their probabilities.

    Args:
        words: the word vectors.
        word_dim: their size.
        characters: the reader of spellings, None for none.
        hidden: of the word LSTM, per direction.
        tags: the tags' names.
        layer_norm: normalise the word LSTM.
        dropout: on its input.
        output_dropout: on its output (Ma & Hovy 2016, sec. 3.2).
        crf: score tag sequences (Lafferty et al. 2001), else each word's tag on its own.
        scheme: "bio", "iob1" or "bioes", to forbid illegal sequences to the CRF; None forbids none.
    """

    def __init__(
        self,
        words: WordEmbedding,
        word_dim: int,
        characters: CharacterEncoder | None,
        hidden: int,
        tags: list[str],
        *,
        layer_norm: bool,
        dropout: float,
        output_dropout: float,
        crf: bool,
        scheme: str | None,
    ) -> None:
        super().__init__()
        self.words = words
        self.characters = characters
        self.dropout = nn.Dropout(dropout)
        size = word_dim + (characters.output_size if characters is not None else 0)
        self.lstm = LayerNormLSTM(size, hidden, bidirectional=True, batch_first=True, layer_norm=layer_norm)
        self.output_dropout = nn.Dropout(output_dropout)
        self.linear = OutputLinear(2 * hidden, len(tags))
        allowed = None if scheme is None else legal_transitions(tags, scheme)  # type: ignore[arg-type]
        self.crf = LinearChainCRF(len(tags), allowed) if crf else None

    def forward(self, batch: Batch) -> Tensor:
        """Return the emission scores (B, T, K)."""
        features = self.words(batch.words)
        if self.characters is not None:
            assert batch.characters is not None
            assert batch.character_lengths is not None
            assert batch.spelling is not None
            spelled = self.characters(batch.characters, batch.character_lengths)
            features = torch.cat([features, F.embedding(batch.spelling, spelled)], dim=-1)
        hidden, _ = self.lstm(self.dropout(features), lengths=batch.lengths)
        return self.linear(self.output_dropout(hidden))

    def losses(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the negative log-likelihood of each sentence's gold tags, (B,), in nats."""
        if self.crf is not None:
            return self.crf.nll(emissions, tags, mask, reduction="none")
        words = F.cross_entropy(emissions.float().transpose(1, 2), tags, reduction="none")
        return words.masked_fill(~mask, 0.0).sum(1)

    def decode(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the best tags (B, T)."""
        return self.crf.viterbi(emissions, mask) if self.crf is not None else emissions.argmax(-1)

    def probabilities(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return p(tag of word t is k), (B, T, K)."""
        return self.crf.marginals(emissions, mask) if self.crf is not None else emissions.float().softmax(-1)
