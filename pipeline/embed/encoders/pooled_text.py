"""A transformer with pooled token vectors; the part of the text encoders that needs torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.arrays import Floats, Rows
from pipeline.embed.encoders.base import Placement
from pipeline.embed.torchvision_guard import guard
from pipeline.errors import ConfigError


def load_pooled_text(
    folder: Path, pooling: str, max_tokens: int, placement: Placement
) -> "PooledText":
    """Return the encoder of a model folder; nothing is fetched.

    Raises:
        ConfigError: transformers cannot read the folder.
    """
    guard()
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(
            folder, local_files_only=True, dtype=getattr(torch, placement.precision)
        )
    except Exception as error:  # transformers and safetensors raise kinds of their own
        raise ConfigError(f"transformers cannot load the text model {folder}: {error}") from error
    if not hasattr(model.config, "hidden_size"):
        raise ConfigError(
            f"{folder} is a {model.config.model_type} model, not a text encoder; "
            f"embed.text.model wants one with a hidden size, such as BERT, MPNet or E5"
        )
    model = getattr(model, "encoder", model) if model.config.is_encoder_decoder else model
    return PooledText(tokenizer, model.eval().to(placement.device), pooling, max_tokens)


class PooledText:
    """Token vectors of a transformer, averaged over the text or taken from its first token.

    Reimers and Gurevych, Sentence-BERT (EMNLP 2019) for mean pooling.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 - transformers is untyped
        model: torch.nn.Module,
        pooling: str,
        max_tokens: int,
    ) -> None:
        """Wrap a tokenizer and a model in evaluation mode."""
        config: Any = model.config
        self.width: int = config.hidden_size
        self._tokenizer, self._model, self._pooling = tokenizer, model, pooling
        positions = getattr(config, "max_position_embeddings", None) or max_tokens
        self._max_tokens = min(max_tokens, positions, tokenizer.model_max_length)
        self._pad = tokenizer.pad_token_id or 0
        self._pad_left = tokenizer.padding_side == "left"

    def tokenize(self, texts: Sequence[str]) -> list[Rows]:
        """Return the token ids of each text, special tokens included."""
        encoded = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._max_tokens,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return [np.array(ids, dtype=np.int32) for ids in encoded["input_ids"]]

    def encode(self, tokens: Sequence[Rows]) -> Floats:
        """Return (B, D) pooled token vectors."""
        ids, mask = self._padded(tokens)
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            pooled = self._pool(states, mask)
        vectors: Floats = pooled.cpu().numpy()
        return vectors

    def _padded(self, tokens: Sequence[Rows]) -> tuple[Tensor, Tensor]:
        longest = max(len(ids) for ids in tokens)
        ids = np.full((len(tokens), longest), self._pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, own in enumerate(tokens):
            at = slice(longest - len(own), None) if self._pad_left else slice(len(own))
            ids[row, at], mask[row, at] = own, 1
        device = next(self._model.parameters()).device
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)

    def _pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return one vector per text.

        Shapes:
            states: (B, L, D). mask: (B, L). returns: (B, D).
        """
        if self._pooling == "cls":
            first = mask.argmax(dim=1)
            return states[torch.arange(len(states), device=states.device), first]
        weights = mask[..., None].to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
