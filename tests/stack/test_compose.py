"""What docker-compose.yml promises of every service, those included that can't be started where registries are out of
reach. Needs docker-compose, and no engine.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.docker.remedies import PORTS
from service.artifact.config import read_config
from service.settings import Settings
from tests.stack.stack import PROFILES, ROOT, Stack

FILE = ROOT / "docker-compose.yml"
GPU = "deploy/docker/compose.gpu.yml"
SIGNED = "deploy/docker/compose.signed.yml"
COMPOSED: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Any] = COMPOSED["services"]
EXAMPLE = (ROOT / ".env.example").read_text()


@pytest.mark.parametrize("profile", ["", *PROFILES])
def test_every_profile_is_read(profile: str) -> None:
    """docker-compose takes the file without a word, by itself and with each profile."""
    assert (0, "") == Stack("read", COMPOSE_PROFILES=profile).attempt("config", "--quiet")


def test_the_gpu_file_is_read() -> None:
    """Laid over the file it changes Hone to the same Dockerfile with the runtime for GPUs, and reserves them."""
    said = Stack("read").compose("-f", str(FILE), "-f", GPU, "config")
    hone = yaml.safe_load(said)["services"]["hone"]
    (reserved,) = hone["deploy"]["resources"]["reservations"]["devices"]

    assert "deploy/docker/Dockerfile" == hone["build"]["dockerfile"]
    assert "gpu" == hone["build"]["args"]["EXTRA"]
    assert "hone-serve:gpu" == hone["image"]
    assert ("nvidia", ["gpu"]) == (reserved["driver"], reserved["capabilities"])
    assert hone["read_only"]


def target_of(volume: dict[str, Any] | str) -> str:
    """Where it is mounted; docker-compose 1 repeats a volume as it was written, also as `source:target:mode`."""
    return volume.split(":")[1] if isinstance(volume, str) else str(volume["target"])


def test_the_file_for_signed_models_is_read() -> None:
    """Laid over the file it has Hone demand signatures by keys that it can't change; all else is as before."""
    said = Stack("read", HONE_KEYS="./deploy").compose("-f", str(FILE), "-f", SIGNED, "config")
    hone = yaml.safe_load(said)["services"]["hone"]
    mounts = {target_of(volume): volume for volume in hone["volumes"]}
    keys = mounts["/keys"]

    assert "/keys" == hone["environment"]["HONE_REQUIRE_SIGNATURE"]
    assert ("bind", str(ROOT / "deploy"), True) == (keys["type"], keys["source"], keys["read_only"])
    assert {"/models", "/trained", "/keys"} == mounts.keys()
    assert hone["read_only"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    """No service has a capability, gains one, writes to its image, or takes all memory, processes or disk."""
    service = SERVICES[name]

    assert service["read_only"]
    assert service["init"]
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert {"max-size", "max-file"} == service["logging"]["options"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_the_loopback(name: str) -> None:
    """Whatever is published is for this machine, on a port that can be chosen."""
    published = SERVICES[name].get("ports", [])

    assert [] == [port for port in published if not re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-\d+\}:\d+", port)]


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" not in SERVICES[name]])
def test_images_are_pinned(name: str) -> None:
    """What isn't built here is named by its version."""
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", SERVICES[name]["image"])


def test_a_stop_leaves_time_to_drain() -> None:
    """Docker kills Hone later than Hone gives up on what it had accepted."""
    seconds = float(SERVICES["hone"]["stop_grace_period"].removesuffix("s"))

    assert seconds > Settings.model_fields["exit_timeout_secs"].default


def test_what_watches_starts_by_itself() -> None:
    """Nothing that tells of a Hone that isn't up waits for it, and who is needed is healthy before."""
    after = {name: SERVICES[name].get("depends_on", {}) for name in SERVICES}

    assert {"prometheus": {"condition": "service_healthy"}} == after["grafana"]
    assert {"alertmanager": {"condition": "service_healthy"}} == after["prometheus"]
    assert [] == [name for name in ("hone", "alertmanager") if after[name]]
    assert [] == [
        other for needed in after.values() for other in needed if "healthy" in str(needed[other]) and not known(other)
    ]


def known(service: str) -> bool:
    """Whether something says how the service is."""
    return "healthcheck" in SERVICES[service] or "HEALTHCHECK" in dockerfile(service)


def dockerfile(service: str) -> str:
    """The text of what the service is built from."""
    return Path(ROOT, SERVICES[service]["build"]["dockerfile"]).read_text()


def test_passwords_are_files() -> None:
    """No password stands in the environment of a container."""
    secret = [name for service in SERVICES.values() for name in service.get("environment", {}) if "PASSWORD" in name]

    assert ["GF_SECURITY_ADMIN_PASSWORD__FILE"] == secret


def test_what_is_mounted_is_there() -> None:
    """Folders of this checkout that containers read: Docker would make empty ones of those that aren't there."""
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    ours = [volume.split(":")[0] for volume in volumes if isinstance(volume, str) and volume.startswith("./")]

    assert ours
    assert [] == [path for path in ours if not any((ROOT / path).iterdir())]


def test_the_example_names_every_variable() -> None:
    """.env.example has every variable that the files read, with the value that it has otherwise, and no other."""
    text = FILE.read_text() + (ROOT / SIGNED).read_text()
    read = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    read |= dict.fromkeys(re.findall(r"^ {6}- (HONE_\w+)$", text, re.MULTILINE), None)
    read |= dict.fromkeys(COMPOSED["x-build"]["args"], None)
    told = dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE))

    assert read.keys() == told.keys()
    assert {name: value for name, value in read.items() if name in told and value is not None} == {
        name: told[name] for name in told if read[name] is not None
    }
    assert {f"{name}_PORT" for name in PORTS} <= told.keys()


def test_tritons_models_are_the_committed_ones() -> None:
    """deploy/triton has each model of models/, and nothing but the name of the remote that docker-compose.yml gives."""
    configs = {path.parent.name: path for path in (ROOT / "deploy" / "triton").glob("*/config.pbtxt")}
    remotes = {read_config(path, name=name).hone.remote for name, path in configs.items()}

    assert {path.parent.name for path in (ROOT / "models").glob("*/config.pbtxt")} == configs.keys()
    assert {"triton"} == remotes
    assert "HONE_REMOTE=${HONE_REMOTE:-triton=triton:8001}" in SERVICES["hone"]["environment"]
    assert [] == [
        path for path in (ROOT / "deploy" / "triton").rglob("*") if Path(path).is_file() and path.name != "config.pbtxt"
    ]
