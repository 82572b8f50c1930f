"""What to do when something isn't up, by what Docker or a service said."""

import re

PORTS = ("HONE_HTTP", "HONE_GRPC", "HONE_METRICS", "PROMETHEUS", "ALERTMANAGER", "GRAFANA", "LOCUST")
REMEDIES = (
    (
        r"address already in use|port is already allocated",
        f"That port is taken: stop who has it, or choose another ({', '.join(f'{name}_PORT' for name in PORTS)}).",
    ),
    (
        r"permission denied|read-only file system|no space left",
        "It can't write there. `docker volume rm` removes a volume with all that it holds; the next start makes it.",
    ),
    (
        r"pull access denied|manifest unknown|toomanyrequests|https://[^ ]+/v2/",  # whatever the registry's door says
        "An image can't be had from its registry. Fewer services: make up SERVICES='hone prometheus alertmanager'.",
    ),
    (
        r"bind source path does not exist|no model folder in the repository",  # some docker-compose make an empty one
        "HONE_MODEL_REPOSITORY has to be a folder of models, HONE_KEYS one of keys; absolute, or beginning with a dot.",
    ),
)
"""A pattern, and what helps."""


def remedies(said: str) -> list[str]:
    """A sentence for each cause that the words give away; none is guessed."""
    return [remedy for pattern, remedy in REMEDIES if re.search(pattern, said, re.IGNORECASE)]
