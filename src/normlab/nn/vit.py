"""A small vision transformer for images of 32 x 32: patches of 4 x 4 as tokens."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.errors import UserError
from normlab.nn.classifier import ImageClassifier, OutputLayer
from normlab.norms.options import create_norm

PATCH, WIDTH, DEPTH, HEADS = 4, 128, 4, 4


class VisionTransformer(ImageClassifier):
    """Four pre-norm transformer blocks of width 128 over patches of 4 x 4              (Dosovitskiy et al. 2021)

    Tokens are kept as (N, C, T), channels first, so that every scheme is what it is on maps with T positions. The
    paper's layer norm of each token is `layer_pixel`; `layer` takes one mean over all tokens of the image, and `batch`
    one per channel over images and tokens. The features are the mean over the tokens, without a class token, and the
    hidden layer of a block has twice the width, where the paper has four times.

    Args:
        num_classes: r, the number of classes.
        norm: name of a scheme in `NORMS`.
        image_size: height and width; multiples of 4.
        norm_options: options of the scheme; those that are None count as not given.
    Shape: (N, 3, *image_size) -> logits (N, num_classes).
    Raises: UserError if patches of 4 x 4 do not fit the image.
    """

    def __init__(
        self,
        num_classes: int,
        norm: str = "layer_pixel",
        *,
        image_size: tuple[int, int] = (32, 32),
        **norm_options: Any,
    ) -> None:
        super().__init__()
        height, width = image_size
        if height % PATCH or width % PATCH:
            raise UserError(
                f"vit_tiny32: patches of {PATCH} x {PATCH} pixels do not fit images of {height} x {width}: give "
                f"--image-size a multiple of {PATCH}"
            )
        self.patches = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
        self.position = Position(WIDTH, height * width // PATCH**2)
        self.blocks = nn.Sequential(*(TransformerBlock(norm, **norm_options) for _ in range(DEPTH)))
        self.norm = create_norm(norm, WIDTH, **norm_options)
        self.linear = OutputLayer(WIDTH, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate activations (N, 128)."""
        tokens_nct = self.position(self.patches(x).flatten(2))
        features: Tensor = self.norm(self.blocks(tokens_nct)).mean(2)
        return features


class Position(nn.Module):
    """Adds a learned vector for each place in the image."""

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, places))
        self.reset_parameters()

    def forward(self, tokens_nct: Tensor) -> Tensor:
        """Return the tokens with their positions."""
        return tokens_nct + self.weight

    def reset_parameters(self) -> None:
        """Draw new vectors with a deviation of 0.02."""
        nn.init.trunc_normal_(self.weight, std=0.02)


class TransformerBlock(nn.Module):
    """x + attention(norm1(x)), then x + linear(gelu(linear(norm2(x)))), on tokens (N, C, T)."""

    def __init__(self, norm: str, **norm_options: Any) -> None:
        super().__init__()
        self.norm1 = create_norm(norm, WIDTH, **norm_options)
        self.attention_inputs = nn.Linear(WIDTH, 3 * WIDTH)
        self.attention_output = nn.Linear(WIDTH, WIDTH)
        self.norm2 = create_norm(norm, WIDTH, **norm_options)
        self.widen = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x_nct: Tensor) -> Tensor:
        """Map (N, C, T) to the same shape."""
        x_nct = x_nct + self._attend(self.norm1(x_nct).transpose(1, 2)).transpose(1, 2)
        hidden_ntc = self.norm2(x_nct).transpose(1, 2)
        return x_nct + self.narrow(F.gelu(self.widen(hidden_ntc))).transpose(1, 2)

    def _attend(self, x_ntc: Tensor) -> Tensor:
        N, T, C = x_ntc.shape
        heads = self.attention_inputs(x_ntc).view(N, T, 3, HEADS, C // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        y: Tensor = self.attention_output(mixed.transpose(1, 2).reshape(N, T, C))
        return y
