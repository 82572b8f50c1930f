"""The card of a model version, `card.json`: what the model is, how that was proved, and which files it speaks of.

`config.pbtxt` says how to serve and is never repeated here. A card lies in a version folder, and names the files in
that folder with their digests: a version whose card names a file that is missing or differs isn't there yet.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from service.artifact.digest import sha256_bytes, sha256_file
from service.artifact.signing import Signature, signed_by, verify
from service.errors import ArtifactError

CARD_NAME = "card.json"
CARD_MAX_BYTES = 1 << 20
"""A card is a page of text; a larger file isn't one, and is refused before it is read."""

Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=65536)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=65536)]
TokenId = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class FileRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file as it was when the card was written: the SHA-256 of its content and its length in bytes."""

    sha256: Digest
    bytes: Count


class Grayscale(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="grayscale"
):
    """Colour becomes one channel of luminance."""


class Invert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="invert"):
    """Dark becomes light: always, or only where the border of the image is light (ink on paper)."""

    when: Literal["always", "light_background"] = "always"


class Resize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="resize"):
    """The image becomes `height` by `width` pixels."""

    height: Pixels
    width: Pixels
    filter: Literal["nearest", "bilinear", "area"]


class ToTensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="tensor"):
    """Pixels become a tensor of this axis order and datatype, their values unchanged."""

    layout: Literal["CHW", "HWC"]
    datatype: Literal["UINT8", "FP32"]


class Tokenize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="tokenize"):
    """A text becomes a row of numbers, one for each of its tokens: it is the only step of its input.

    `file` is the tokenizer, a `tokenizer.json` of the library `tokenizers` that the card's `files` name; whether tokens
    are put around a text, such as [CLS], is said in there. Texts are cut to `max_length` tokens, those around them
    included. `pad` fills what is shorter up to that length; None leaves it as it is. `gives` says what the input takes.
    """

    file: str
    gives: Literal["ids", "attention_mask", "type_ids"]
    max_length: Tokens
    pad: TokenId | None = None
    datatype: Literal["INT64", "INT32"] = "INT64"


Transform = Grayscale | Invert | Resize | ToTensor | Tokenize
Transforms: TypeAlias = Mapping[str, tuple[Transform, ...]]


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the figures were measured: INT8 results differ between instruction sets, and so do all latencies.

    `cpu_flags` holds those flags that decide which kernels run, `versions` package name -> version.
    """

    architecture: str
    cpu: str
    cores: Annotated[int, msgspec.Meta(ge=1)]
    cpu_flags: tuple[str, ...]
    versions: dict[str, str]


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one model version is.

    `parent` is the variant it was made from, None for one trained from scratch; `chosen` is the name of the model
    that was published again under the family's name, None on every other card. `files` maps a path relative to the
    version folder to its record, `beside` the same for files that all versions share, such as labels. `metrics` are
    single figures, fit for a gauge; `evidence` is how they were obtained, as plain JSON. `transforms` maps an input's
    name to the steps that turn a picture, or a text, into that tensor. `signature` vouches for all of it, and stays the
    last (`signing`).
    """

    schema: Literal[1]
    family: Name
    variant: Name
    parent: Name | None
    chosen: Name | None
    files: dict[str, FileRecord]
    beside: dict[str, FileRecord] = {}
    metrics: dict[str, float]
    evidence: dict[str, Any]
    transforms: dict[str, tuple[Transform, ...]]
    machine: Machine
    signature: Signature | None = None

    @property
    def signer(self) -> str | None:
        """The name of the key that it is signed with, None for one that isn't."""
        return signed_by(self.signature) if self.signature else None

    @property
    def names(self) -> tuple[str, str]:
        """What a model may be called that this is the card of: its family's name, or that with the variant's."""
        return self.family, f"{self.family}-{self.variant}"


def dump_card(card: Card) -> bytes:
    """The card as UTF-8 JSON, indented, every key present, ending in a newline; equal cards give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(card, order="deterministic"), indent=2) + b"\n"


def load_card(path: Path) -> Card:
    """The card in the file `path`.

    Raises ArtifactError that names the file and, where one is at fault, the key.
    """
    name = _display_name(path)
    try:
        size = path.stat().st_size
        if size > CARD_MAX_BYTES:
            raise ArtifactError(f"{name}: {size} bytes, a card has at most {CARD_MAX_BYTES}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{name}: no such file") from None
    except OSError as error:
        raise ArtifactError(f"{name}: can't be read ({error.strerror})") from error
    return parse_card(content, name=name)


def parse_card(content: bytes, *, name: str = CARD_NAME) -> Card:
    """The card in `content`; `name` stands for the file in errors. Raises ArtifactError naming file and key, also for a
    signature that isn't this card's.
    """
    try:
        card = msgspec.json.decode(content, type=Card)
    except msgspec.ValidationError as error:
        raise ArtifactError(f"{name}: {_name_key(str(error))}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"{name}: isn't JSON ({error})") from error
    for path in card.files:
        if not _is_inside(path):
            raise ArtifactError(f"{name}: files: `{path}` isn't the path of a file inside the version folder")
    for path in card.beside:
        if not _is_inside(path):
            raise ArtifactError(f"{name}: beside: `{path}` isn't the path of a file inside the model's folder")
    for steps in card.transforms.values():
        for step in steps:
            if isinstance(step, Tokenize) and step.file not in card.files:
                raise ArtifactError(f"{name}: transforms: `{step.file}` isn't one of the card's files")
    if card.signature:
        try:
            verify(content, card.signature)
        except ArtifactError as error:
            raise ArtifactError(f"{name}: signature: {error}") from error
    return card


def record_files(folder: Path, names: tuple[str, ...]) -> dict[str, FileRecord]:
    """The records of these files of `folder`, in the order given. Raises OSError."""
    return {name: FileRecord(sha256=sha256_file(folder / name), bytes=(folder / name).stat().st_size) for name in names}


def record_content(content: bytes) -> FileRecord:
    """The record of a file that holds this."""
    return FileRecord(sha256=sha256_bytes(content), bytes=len(content))


def verify_files(card: Card, folder: Path) -> None:
    """Raise ArtifactError, naming the file, unless every file of the version lies in `folder` exactly as recorded."""
    verify_records(card.files, folder, place="/".join(folder.parts[-2:]))


def verify_records(records: Mapping[str, FileRecord], folder: Path, *, place: str) -> None:
    """The same for any files of `folder`, which errors call `place`.

    Sizes of all files are compared before any content is read, so a half-written version is found out cheaply.
    """
    for name, record in records.items():
        _verify_size(folder, name, record, f"{place}/{name}")
    for name, record in records.items():
        found = sha256_file(folder / name)
        if found != record.sha256:
            raise ArtifactError(f"{place}/{name}: SHA-256 is {found}, the card says {record.sha256}")


def card_schema() -> Mapping[str, Any]:
    """The JSON Schema (2020-12) that every valid card satisfies; `models/card.schema.json` holds it."""
    schema = msgspec.json.schema(Card)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Hone model card", **schema}


def _verify_size(folder: Path, name: str, record: FileRecord, display: str) -> None:
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{display}: no such file, but the card names it")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(f"{display}: leads out of {folder.name}")
    size = path.stat().st_size
    if size != record.bytes:
        raise ArtifactError(f"{display}: {size} bytes, the card says {record.bytes}")


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _display_name(path: Path) -> str:
    # Model, version and file: enough to find it, and nothing about where the repository lies.
    return "/".join(path.parts[-3:])


def _name_key(text: str) -> str:
    """The library's text with the place first: "Expected `int` - at `$.schema`" -> "schema: Expected `int`"."""
    match = re.fullmatch(r"(?P<what>.*) - at `\$\.?(?P<key>.*)`", text, re.DOTALL)
    return f"{match['key']}: {match['what']}" if match else text
