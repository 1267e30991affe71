"""One real server for all tests here, and the same weights in this process to compare with."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from sia.local.model import LanguageModel
from sia.local.prepare import prepare_model
from sia.local.process import LocalModel, start_local_model

NAME = "local/smollm2-135m"


@pytest.fixture(scope="session")
def folder() -> Path:
    return prepare_model(NAME, print)


@pytest.fixture(scope="session")
def exact(folder: Path) -> LanguageModel:
    """In float32, where batches of any size give the same to five digits."""
    return LanguageModel(folder, "float32")


@pytest.fixture(scope="session")
def server() -> Iterator[LocalModel]:
    with start_local_model(NAME, print) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: LocalModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0, timeout=60) as opened:
        yield opened
