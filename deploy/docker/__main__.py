"""`make up`: starts the stack, waits until it is healthy, and says where it is (`python -m deploy.docker SERVICE ...`).

Needs nothing but Python. COMPOSE is the command to use. HONE_SECRETS, the folder of Grafana's password (secrets), and
HONE_UID, whose that is, may stand in .env, as what docker-compose reads by itself. Exit codes: 0 all is up, 1 something
isn't, 2 a bad password file.
"""

import os
import sys
from pathlib import Path

from deploy.docker.containers import PAGES, Containers, NotUpError
from deploy.docker.dotenv import dotenv
from deploy.docker.password import NAME, PasswordError, ensure_password


def main() -> int:
    """Start the services that are named."""
    services = sys.argv[1:]
    said = {**dotenv(Path(".env")), **os.environ}
    folder = Path(said.get("HONE_SECRETS") or "secrets")
    owner = said.get("HONE_UID") or str(os.getuid())
    with_grafana = not services or "grafana" in services
    containers = Containers(
        os.environ.get("COMPOSE", "docker-compose").split(), {"HONE_SECRETS": str(folder.absolute()), "HONE_UID": owner}
    )
    try:
        if with_grafana:
            ensure_password(folder)
        containers.up(services)
    except PasswordError as error:
        print(error, file=sys.stderr)
        return 2
    except NotUpError as error:
        print(error, file=sys.stderr)
        return 1
    for service in PAGES:
        if service in services:
            print(f"{service:<13} {containers.page(service)}")
    if with_grafana:
        print(f"{'':<13} Grafana's administrator is admin, with the password in {folder / NAME}; others may look")
    return 0


if __name__ == "__main__":
    sys.exit(main())
