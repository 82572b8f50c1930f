"""The runtime's tools log through the root logger and print."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from service.errors import ArtifactError, HoneError
from training.errors import one_line


@contextmanager
def quiet() -> Iterator[None]:
    """Silence them while they run. What they raise becomes an ArtifactError: they do not say what they do not take."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    except HoneError:
        raise
    except Exception as error:
        raise ArtifactError(f"ONNX Runtime's tool for quantization fails on it ({one_line(error)})") from error
    finally:
        logger.setLevel(level)
