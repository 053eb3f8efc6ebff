import os
from pathlib import Path

import pytest
import torch

from tests.cases import files

torch.set_num_threads(1)  # small tensors, and two threads wait for each other on a busy machine


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the user's cache is read or written; judges are kept for the whole session."""
    os.environ["SPARRING_CACHE"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets that SPARRING_DATA names."""
    folder = os.environ.get("SPARRING_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPARRING_DATA names no folder of data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures; sounds, texts and vectors lie beside it."""
    return files(tmp_path_factory.mktemp("own"))
