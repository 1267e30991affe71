"""LoRA adapters over one base model, switched by digest. The base weights never change."""

import re
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

DIGEST = re.compile(r"[0-9a-f]{8,64}")


class UnknownAdapter(ValueError):
    """There is no adapter with this digest."""


class Adapters:
    """The adapters in a folder, each in a folder named by its digest; loaded when first asked for."""

    def __init__(self, model: PreTrainedModel, folder: Path | None) -> None:
        self._model = model
        self._folder = folder
        self._peft: Any = None
        self._loaded: set[str] = set()
        self._active: str | None = None

    @torch.inference_mode(False)
    def use(self, digest: str | None) -> None:
        """Makes the model answer with the adapter `digest`, or as the base for None. Raises UnknownAdapter."""
        if digest == self._active:
            return
        if digest is None:
            self._peft.base_model.disable_adapter_layers()
        else:
            self._load(digest)
            self._peft.base_model.enable_adapter_layers()
            # peft marks the weights as trainable here, which tensors of inference mode refuse.
            self._peft.set_adapter(digest)
        self._active = digest

    def check(self, digest: str) -> None:
        """Raises UnknownAdapter when there is no such adapter."""
        if digest not in self._loaded:
            self._place(digest)

    def _place(self, digest: str) -> Path:
        if self._folder is None or not DIGEST.fullmatch(digest):
            raise UnknownAdapter(digest)
        place = self._folder / digest
        if not (place / "adapter_config.json").is_file():
            raise UnknownAdapter(digest)
        return place

    def _load(self, digest: str) -> None:
        if digest in self._loaded:
            return
        place = str(self._place(digest))
        from peft import PeftModel

        # peft puts its layers into the model in place: whoever holds the model runs through them.
        if self._peft is None:
            self._peft = PeftModel.from_pretrained(self._model, place, adapter_name=digest)
        else:
            self._peft.load_adapter(place, adapter_name=digest)
        self._peft.eval()
        self._loaded.add(digest)
