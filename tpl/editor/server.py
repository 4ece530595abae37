"""`tpl lsp`: the language server, over standard input and output. Needs the extra `lsp` (pygls).

What it answers with is made elsewhere (`documents`, `hover`, `actions`); here it is put into the protocol's words. No
request waits for a derivation, and no text can end the server: programs are analysed in other processes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer

from tpl import __version__
from tpl.editor import hover
from tpl.editor.actions import replacement
from tpl.editor.analysis import Analysis
from tpl.editor.documents import Document, Documents
from tpl.editor.positions import to_column, to_range
from tpl.editor.words import Word, words
from tpl.language.source import Diagnostic, Source, Span
from tpl.language.symbols import Symbol, outline

HOVER_SECONDS = 1.0  # how long a hover waits for a limit
NAME = "tpl"


class TplServer(LanguageServer):
    """The server and the programs that are open in it."""

    def __init__(self) -> None:
        super().__init__(NAME, __version__, text_document_sync_kind=lsp.TextDocumentSyncKind.Full)
        self.documents = Documents(self.publish)

    @property
    def encoding(self) -> str:
        """The units in which the client counts columns."""
        found = self.workspace.position_encoding
        return str(getattr(found, "value", found) or "utf-16")

    def publish(self, document: Document, analysis: Analysis) -> None:
        """Show the mistakes of a text."""
        found = [self.diagnostic(document.source, x) for x in analysis.diagnostics]
        if not analysis.whole:
            found.append(_incomplete())
        self.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(document.uri, found, version=document.version)
        )

    def diagnostic(self, source: Source, found: Diagnostic) -> lsp.Diagnostic:
        message = found.message if found.hint is None else f"{found.message}\nhelp: {found.hint}"
        where = self.range(source, found.span or Span(1, 1, 1, 1 + len(source.lines[0])))
        return lsp.Diagnostic(where, message, severity=lsp.DiagnosticSeverity.Error, source=NAME)

    def range(self, source: Source, span: Span) -> lsp.Range:
        start, stop = to_range(source, span, self.encoding)
        return lsp.Range(lsp.Position(*start), lsp.Position(*stop))

    async def symbol_at(
        self, params: lsp.HoverParams | lsp.DefinitionParams | lsp.ReferenceParams
    ) -> tuple[Document, Analysis, Symbol, Span] | None:
        """The name under the cursor."""
        known = await self.documents.analysis(params.text_document.uri)
        if known is None:
            return None
        document, analysis = known
        place = to_column(document.source, params.position.line, params.position.character, self.encoding)
        found = analysis.symbols.at(*place)
        return None if found is None else (document, analysis, *found)


def _incomplete() -> lsp.Diagnostic:
    start = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
    message = "this program is long: only names and structure are checked here; `tpl check` does all of it"
    return lsp.Diagnostic(start, message, severity=lsp.DiagnosticSeverity.Information, source=NAME)


def make_server() -> TplServer:
    """A server with all its features."""
    server = TplServer()
    for name, options, feature in _FEATURES:
        server.feature(name, options)(feature)
    return server


def serve() -> None:
    """Answer an editor until it is done."""
    server = make_server()
    try:
        server.start_io()
    finally:
        server.documents.kill()


# ---------------------------------------------------------------------------------------------- texts


async def shutdown(server: TplServer, params: None) -> None:
    await server.documents.close()


def did_open(server: TplServer, params: lsp.DidOpenTextDocumentParams) -> None:
    document = params.text_document
    server.documents.put(document.uri, document.version, document.text, pause=0.0)


def did_change(server: TplServer, params: lsp.DidChangeTextDocumentParams) -> None:
    text = server.workspace.get_text_document(params.text_document.uri).source
    server.documents.put(params.text_document.uri, params.text_document.version, text)


def did_close(server: TplServer, params: lsp.DidCloseTextDocumentParams) -> None:
    server.documents.drop(params.text_document.uri)
    server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(params.text_document.uri, []))


# ---------------------------------------------------------------------------------------------- names


async def hover_(server: TplServer, params: lsp.HoverParams) -> lsp.Hover | None:
    found = await server.symbol_at(params)
    if found is None:
        return await _hover_word(server, params)
    document, analysis, symbol, span = found
    limit = None
    if hover.has_limit(analysis, symbol):
        limit = await server.documents.limit(document, HOVER_SECONDS)
    text = hover.about_symbol(document.source, analysis, symbol, limit)
    return lsp.Hover(_markdown(text), server.range(document.source, span))


async def _hover_word(server: TplServer, params: lsp.HoverParams) -> lsp.Hover | None:
    document = server.documents.open.get(params.text_document.uri)
    if document is None:
        return None
    place = to_column(document.source, params.position.line, params.position.character, server.encoding)
    found = hover.word_at(document.source, *place)
    text = hover.about_word(found[0]) if found is not None else None
    if found is None or text is None:
        return None
    return lsp.Hover(_markdown(text), server.range(document.source, found[1]))


def _markdown(text: str) -> lsp.MarkupContent:
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, text)


async def definition(server: TplServer, params: lsp.DefinitionParams) -> list[lsp.Location]:
    """All statements that give the name its meaning: a family has several."""
    found = await server.symbol_at(params)
    if found is None:
        return []
    document, _, symbol, _ = found
    return [lsp.Location(document.uri, server.range(document.source, x.name)) for x in symbol.places]


async def references(server: TplServer, params: lsp.ReferenceParams) -> list[lsp.Location]:
    found = await server.symbol_at(params)
    if found is None:
        return []
    document, _, symbol, _ = found
    own = {x.name for x in symbol.places}
    uses = [x for x in sorted(symbol.uses) if params.context.include_declaration or x not in own]
    return [lsp.Location(document.uri, server.range(document.source, x)) for x in uses]


async def document_symbols(server: TplServer, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
    known = await server.documents.analysis(params.text_document.uri)
    if known is None:
        return []
    document, analysis = known
    return [_outlined(server, document, analysis, *x) for x in outline(analysis.symbols)]


_SYMBOL_KINDS = {
    "const": lsp.SymbolKind.Constant, "def": lsp.SymbolKind.Function, "width": lsp.SymbolKind.TypeParameter,
    "data": lsp.SymbolKind.Array, "network": lsp.SymbolKind.Class, "input": lsp.SymbolKind.Variable,
    "param": lsp.SymbolKind.Field, "random": lsp.SymbolKind.Variable, "value": lsp.SymbolKind.Variable,
}  # fmt: skip


def _outlined(
    server: TplServer, document: Document, analysis: Analysis, symbol: Symbol, inside: Sequence[Symbol] = ()
) -> lsp.DocumentSymbol:
    place, source = symbol.places[0], document.source
    whole = place.statement
    if symbol.body is not None:
        last = symbol.body[1]
        whole = Span(whole.line, whole.column, last, len(source.lines[last - 1]) + 1)
    children = [_outlined(server, document, analysis, x) for x in inside]
    return lsp.DocumentSymbol(
        symbol.name, _SYMBOL_KINDS[symbol.kind], server.range(source, whole), server.range(source, place.name),
        detail=analysis.meaning(symbol) or None, children=children or None,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- texts mended


async def code_action(server: TplServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """Suggestions of the diagnostics in a range, as changes."""
    known = await server.documents.analysis(params.text_document.uri)
    if known is None:
        return []
    document, analysis = known
    actions = []
    for found in analysis.diagnostics:
        change, shown = replacement(found), server.diagnostic(document.source, found)
        if change is None or not _overlap(shown.range, params.range):
            continue
        edit = lsp.TextEdit(server.range(document.source, change.span), change.text)
        actions.append(
            lsp.CodeAction(change.title, kind=lsp.CodeActionKind.QuickFix, diagnostics=[shown], is_preferred=True,
                           edit=lsp.WorkspaceEdit(changes={document.uri: [edit]}))
        )  # fmt: skip
    return actions


def _overlap(a: lsp.Range, b: lsp.Range) -> bool:
    return a.start <= b.end and b.start <= a.end


async def formatting(server: TplServer, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
    document = server.documents.open.get(params.text_document.uri)
    text = None if document is None else await server.documents.formatted(document)
    if document is None or text is None or text == document.source.text:
        return None
    lines = document.source.lines
    return [lsp.TextEdit(server.range(document.source, Span(1, 1, len(lines), len(lines[-1]) + 1)), text)]


_ITEM_KINDS = {
    "keyword": lsp.CompletionItemKind.Keyword, "function": lsp.CompletionItemKind.Function,
    "generator": lsp.CompletionItemKind.Function, "constant": lsp.CompletionItemKind.Constant,
    "setting": lsp.CompletionItemKind.Property, "measure": lsp.CompletionItemKind.Function,
    "choice": lsp.CompletionItemKind.EnumMember,
}  # fmt: skip


def completion(server: TplServer, params: lsp.CompletionParams) -> lsp.CompletionList:
    """The program's names as last analysed, and the words of the language. It waits for nothing: the text is half-written."""
    document = server.documents.open.get(params.text_document.uri)
    analysis = _finished(document)
    names = list(_own_names(analysis)) if analysis is not None else []
    taken = {x.label for x in names}
    own = [_completed(x) for x in words() if x.name not in taken]
    return lsp.CompletionList(is_incomplete=analysis is None, items=names + list({x.label: x for x in own}.values()))


def _finished(document: Document | None) -> Analysis | None:
    task = None if document is None else document.analysis
    return task.result() if task is not None and task.done() and not task.cancelled() else None


def _own_names(analysis: Analysis) -> Iterator[lsp.CompletionItem]:
    kind = {"def": lsp.CompletionItemKind.Function, "network": lsp.CompletionItemKind.Class,
            "const": lsp.CompletionItemKind.Constant}  # fmt: skip
    for symbol in {x.name: x for x in analysis.symbols.symbols}.values():
        detail = analysis.meaning(symbol) or symbol.kind
        yield lsp.CompletionItem(
            symbol.name, kind=kind.get(symbol.kind, lsp.CompletionItemKind.Variable), detail=detail
        )


def _completed(word: Word) -> lsp.CompletionItem:
    return lsp.CompletionItem(word.name, kind=_ITEM_KINDS[word.group], detail=word.usage, documentation=word.doc)


_FEATURES: tuple[tuple[str, Any, Any], ...] = (
    (lsp.SHUTDOWN, None, shutdown),
    (lsp.TEXT_DOCUMENT_DID_OPEN, None, did_open),
    (lsp.TEXT_DOCUMENT_DID_CHANGE, None, did_change),
    (lsp.TEXT_DOCUMENT_DID_CLOSE, None, did_close),
    (lsp.TEXT_DOCUMENT_HOVER, None, hover_),
    (lsp.TEXT_DOCUMENT_DEFINITION, None, definition),
    (lsp.TEXT_DOCUMENT_REFERENCES, None, references),
    (lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL, None, document_symbols),
    (lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix]), code_action),
    (lsp.TEXT_DOCUMENT_FORMATTING, None, formatting),
    (lsp.TEXT_DOCUMENT_COMPLETION, None, completion),
)
