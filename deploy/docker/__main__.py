"""`make up`: starts the stack, waits until it is healthy, and says where it is (`python -m deploy.docker SERVICE ...`).

Needs nothing but Python. COMPOSE is the command to use, HONE_SECRETS the folder of the password (secrets). Exit codes:
0 all is up, 1 something isn't, 2 a bad password file.
"""

import os
import sys
from pathlib import Path

from deploy.docker.containers import PAGES, Containers, NotUpError
from deploy.docker.password import PasswordError, ensure_password


def main() -> int:
    """Start the services that are named."""
    services = sys.argv[1:]
    folder = Path(os.environ.get("HONE_SECRETS", "secrets"))
    owner = os.environ.get("HONE_UID", str(os.getuid()))
    containers = Containers(
        os.environ.get("COMPOSE", "docker-compose").split(), {"HONE_SECRETS": str(folder.absolute()), "HONE_UID": owner}
    )
    try:
        password = ensure_password(folder)
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
    if "grafana" in services:
        print(f"{'':<13} Grafana's administrator is admin, with the password in {password}; others may look")
    return 0


if __name__ == "__main__":
    sys.exit(main())
