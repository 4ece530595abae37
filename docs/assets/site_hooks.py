"""For the site: the bundled programs are part of it, so that links to them lead somewhere; options stay whole."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: Any) -> Files:
    for path in sorted((ROOT / "programs").rglob("*.tp")):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    return markdown.replace("](../programs/", "](programs/")


def on_page_content(html: str, **_: Any) -> str:
    """Options such as `--explain` do not break behind their dashes; what is longer may, on a phone."""
    return re.sub(r"<code>([^<\s]{1,30})</code>", _whole, html)


def _whole(code: re.Match[str]) -> str:
    return f'<code class="whole">{code[1]}</code>' if "-" in code[1] else code[0]
