"""Why a model or a version isn't served, in words that say which one."""

from service.quoting import quoted


def reason_for(name: str, version: int | str, text: str) -> str:
    """`text` with model and version in front, unless it begins with a file of the model already.

    Runtimes and trials don't know whose file they were given, and what they say is read far from where it was said.
    """
    text = text.strip()
    if not text.endswith(".."):
        text = text.removesuffix(".")  # more may follow
    if text.startswith((f"{name}/", f"{name}:")):
        return text
    if text.startswith(f"{version}/"):
        return f"{name}/{text}"
    return f"{name}/{version}: {text}"


def with_version(name: str, version: int | str, reason: str) -> str:
    """A reason as `reason_for` gives it, for a line of its own that names the version: also where the reason is about
    a file that all versions share.
    """
    return f"version {version}: {reason.removeprefix(f'{name}/{version}: ')}"


def not_there(name: str) -> str:
    """What is said of a model that the repository doesn't have, whoever asked for it."""
    return f"there is no model {quoted(name)} in the repository"
