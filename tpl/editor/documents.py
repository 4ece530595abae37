"""Open programs: their texts, and what is known of each version, found in the background.

A change waits a moment for the next one; then the text is analysed in a process of its own. Its limit, which takes longer,
is derived when someone asks for it, in another.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tpl.editor.analysis import Analysis, LimitByRow, read_analysis, read_rows
from tpl.editor.work import NoAnswer, Worker
from tpl.language.source import Source

PAUSE = 0.15  # seconds without a change before a text is analysed
ANALYSIS_SECONDS = 15.0  # then names and syntax alone
NAMES_SECONDS = 10.0
LIMIT_SECONDS = 60.0


@dataclass
class Document:
    """One open program. analysis, limit: of this version, under way or done."""

    uri: str
    version: int
    source: Source
    analysis: "asyncio.Task[Analysis | None]"
    limit: "asyncio.Task[LimitByRow] | None" = field(default=None)


def normalised(text: str) -> str:
    """Rows as editors count them: `\\r\\n` and `\\r` end one, too."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Documents:
    """All open programs. publish is told of every analysis of a version that is still the latest."""

    def __init__(self, publish: Callable[[Document, Analysis], None]) -> None:
        self.publish = publish
        self.open: dict[str, Document] = {}
        self._analyst, self._explainer = Worker(), Worker()

    def put(self, uri: str, version: int, text: str, pause: float = PAUSE) -> Document:
        """A new version of a text."""
        self.drop(uri)
        source = Source(normalised(text))
        document = Document(uri, version, source, asyncio.create_task(self._analyse(uri, source, pause)))
        self.open[uri] = document
        return document

    def drop(self, uri: str) -> None:
        """Forget a text. What has begun to run is ended."""
        old = self.open.pop(uri, None)
        if old is not None:
            old.analysis.cancel()
            if old.limit is not None:
                old.limit.cancel()

    async def _analyse(self, uri: str, source: Source, pause: float) -> Analysis | None:
        await asyncio.sleep(pause)
        analysis = await _first(
            lambda: self._analyst.ask("analyse", source.text, ANALYSIS_SECONDS),
            lambda: self._analyst.ask("names", source.text, NAMES_SECONDS),
        )
        if analysis is not None:
            self.publish(self.open[uri], analysis)
        return analysis

    async def analysis(self, uri: str) -> tuple[Document, Analysis] | None:
        """What is known of the latest version of a text, once it is known."""
        while True:
            document = self.open.get(uri)
            if document is None:
                return None
            try:
                analysis = await asyncio.shield(document.analysis)
            except asyncio.CancelledError:
                if not document.analysis.cancelled():
                    raise  # it is the question that was withdrawn
                continue
            return None if analysis is None else (document, analysis)

    async def limit(self, document: Document, seconds: float) -> LimitByRow | None:
        """The limit of a version of a text by row; None if it is not known after so long. The derivation goes on."""
        if document.limit is None:
            document.limit = asyncio.create_task(self._explain(document.source.text))
        done, _ = await asyncio.wait([document.limit], timeout=seconds)
        return document.limit.result() if done and not document.limit.cancelled() else None

    async def _explain(self, text: str) -> LimitByRow:
        try:
            return read_rows(await self._explainer.ask("explain", text, LIMIT_SECONDS))
        except NoAnswer:
            return LimitByRow({}, "its derivation takes long; `tpl derive` has no such hurry")

    async def formatted(self, document: Document) -> str | None:
        """The text in its usual look; None if it has mistakes of syntax."""
        try:
            return (await self._analyst.ask("format", document.source.text, NAMES_SECONDS))["text"]
        except NoAnswer:
            return None

    async def close(self) -> None:
        """Forget all texts, and end the processes."""
        for uri in list(self.open):
            self.drop(uri)
        await asyncio.gather(self._analyst.stop(), self._explainer.stop())

    def kill(self) -> None:
        """End the processes when no loop runs any more."""
        self._analyst.kill()
        self._explainer.kill()


async def _first(*ways: Callable[[], Awaitable[dict]]) -> Analysis | None:
    """The first analysis that can be had."""
    for way in ways:
        try:
            return read_analysis(await way())
        except NoAnswer:
            continue
    return None
