"""Where the grammar and the bundled programs lie: beside `tpl/` in a checkout, inside it in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    installed = _PACKAGE / "_share" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def grammar_dir() -> Path:
    """The folder that holds `tpl.lark`."""
    return _folder("grammar")


def programs_dir() -> Path:
    """The folder that holds the bundled `.tp` files and `data/`."""
    return _folder("programs")
