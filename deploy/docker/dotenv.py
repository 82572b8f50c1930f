"""What a file .env says, as docker-compose reads it."""

import re
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|(.*?))\s*(?:(?<=[\s=])#.*)?")


def dotenv(path: Path) -> dict[str, str]:
    """The variables of the file, none where there is no such file. Those that values name aren't put in."""
    lines = path.read_text().splitlines() if path.is_file() else []
    found = [match for line in lines if (match := _LINE.fullmatch(line))]
    return {match[1]: match[2] or match[3] or match[4] or "" for match in found}
