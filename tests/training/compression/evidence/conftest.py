"""Networks to compress, made once."""

import pytest

from tests.training.compression.evidence.models import Models, make


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return make(tmp_path_factory.mktemp("evidence"))
