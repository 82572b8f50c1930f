"""A certificate for servers that tests start."""

import subprocess
from pathlib import Path


def make_certificate(openssl: str, folder: Path) -> tuple[Path, Path]:
    """A key for 127.0.0.1 and a certificate that vouches for itself."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate
