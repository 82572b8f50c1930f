"""What `make up` advises when something isn't up, by what Docker or a service said."""

import pytest

from deploy.docker.remedies import remedies

SAID = {
    "HONE_HTTP_PORT": [
        "Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in use",
        "Bind for 127.0.0.1:9090 failed: port is already allocated",
    ],
    "docker volume rm": [
        "open /prometheus/queries.active: permission denied",
        "opening storage failed: mkdir /prometheus/wal: read-only file system",
        "write /prometheus/wal/00000001: no space left on device",
    ],
    "SERVICES='hone prometheus alertmanager'": [
        'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host',
        'failed to do request: Head "https://registry.example/v2/grafana/grafana/manifests/11.6.1": EOF',
        "toomanyrequests: You have reached your pull rate limit.",
        "pull access denied for grafana/grafana, repository does not exist or may require 'docker login'",
        "manifest for grafana/grafana:0 not found: manifest unknown: manifest unknown",
    ],
    "HONE_MODEL_REPOSITORY": [
        "invalid mount config for type bind: bind source path does not exist: /models",
        '{"event": "no model folder in the repository", "level": "warning"}',
    ],
}


@pytest.mark.parametrize(
    "advice,said",
    [(advice, said) for advice, messages in SAID.items() for said in messages],
    ids=lambda text: text[:30],
)
def test_what_is_known_has_a_remedy(advice: str, said: str) -> None:
    """A cause that can be told from the words is answered with what to do about it, and with nothing else."""
    (remedy,) = remedies(f"Creating network\n{said}\n")

    assert advice in remedy


@pytest.mark.parametrize(
    "said",
    [
        "hone_1 exited with code 2: no model could be loaded",
        'Post "http://alertmanager:9093/api/v2/alerts": dial tcp: lookup alertmanager: no such host',
    ],
)
def test_what_isnt_known_has_none(said: str) -> None:
    """Nothing is advised on a guess."""
    assert [] == remedies(said)
