"""The process in which programs are analysed: requests on standard input, answers on standard output, a line each.

An editor's text may come from anyone and may be half-written. What takes too long or too much memory ends with this
process, and the language server goes on.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def _analyse(text: str) -> dict[str, Any]:
    from tpl.editor.analysis import analyse, analysis_json

    return analysis_json(analyse(text))


def _names(text: str) -> dict[str, Any]:
    from tpl.editor.analysis import analyse_names, analysis_json

    return analysis_json(analyse_names(text))


def _explain(text: str) -> dict[str, Any]:
    from tpl.editor.analysis import explain_rows, rows_json

    return rows_json(explain_rows(text))


def _format(text: str) -> dict[str, Any]:
    from tpl.language.format import format_text
    from tpl.language.source import Source, TplError

    try:
        return {"text": format_text(Source(text))}
    except TplError:
        return {"text": None}  # its mistakes are shown already


TASKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "analyse": _analyse, "names": _names, "explain": _explain, "format": _format,
}  # fmt: skip


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to `{"task": …, "text": …}`: `{"result": …}`, or `{"error": …}` for a fault of ours."""
    try:
        return {"result": TASKS[request["task"]](request["text"])}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints must not break in
    for line in sys.stdin.buffer:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
