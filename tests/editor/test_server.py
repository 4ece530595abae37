"""The language server, driven by a client over standard input and output."""

import asyncio
import sys
import threading
import time

import pytest
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient
from typer.testing import CliRunner

import tpl
from tpl.cli import app
from tpl.editor.documents import Documents
from tpl.editor.work import NoAnswer, Worker
from tpl.language.source import Source, TplError
from tpl.pipeline import bundled_experiments, bundled_programs, compile_program

PATIENCE = 60  # seconds: of a loaded machine
URI = "file:///home/user/program.tp"
MLP = bundled_programs()["mlp"].read_text(encoding="utf-8").split('"""\n')[1]  # its docstring mentions names, too
WRONG = """\
width n
data X[N, d] = sphere(4, 3, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    h = U @ xii
    return v @ tahn(U @ xi)
show nngp(f, X)
"""
GREEK = """\
const σ = 2
const 𝛔𝛔 = σ + σ
width n
random W : [n, n] ~ N(0, 𝛔𝛔 / n)
random 𝜉 : [n] ~ N(0, σ)
𝒚 = W @ 𝜉
show avg(𝒚 * 𝒚), avg(𝜉 * 𝜉)
"""


class Client(LanguageClient):
    """A client with one program at a time, which keeps the diagnostics of every version."""

    def __init__(self):
        super().__init__("tests", "1")
        self.uri = ""
        self.published = {}
        self.news = asyncio.Condition()

        @self.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        async def keep(params):
            async with self.news:
                self.published[params.uri, params.version] = list(params.diagnostics)
                self.news.notify_all()

    @property
    def document(self):
        return lsp.TextDocumentIdentifier(self.uri)

    async def diagnostics(self, version):
        async with self.news:
            await self.news.wait_for(lambda: (self.uri, version) in self.published)
        return self.published[self.uri, version]

    def open(self, text, name="program"):
        self.uri = f"file:///home/user/{name}{len(self.published)}.tp"
        self.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(self.uri, "tp", 1, text)))

    def change(self, text, version):
        whole = lsp.TextDocumentContentChangeWholeDocument(text)
        document = lsp.VersionedTextDocumentIdentifier(version=version, uri=self.uri)
        self.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [whole]))

    async def hover(self, line, character):
        found = await self.text_document_hover_async(lsp.HoverParams(self.document, lsp.Position(line, character)))
        return "" if found is None else found.contents.value

    async def hover_with_limit(self, line, character):
        while "being derived" in (text := await self.hover(line, character)):
            await asyncio.sleep(0.2)
        return text

    async def definition(self, line, character):
        found = await self.text_document_definition_async(
            lsp.DefinitionParams(self.document, lsp.Position(line, character))
        )
        assert {x.uri for x in found} <= {self.uri}
        ranges = [x.range for x in found]
        return [((r.start.line, r.start.character), (r.end.line, r.end.character)) for r in ranges]


async def started(encodings=None):
    it = Client()
    await it.start_io(sys.executable, "-m", "tpl.cli", "lsp")
    general = lsp.GeneralClientCapabilities(position_encodings=encodings)
    answer = await it.initialize_async(lsp.InitializeParams(capabilities=lsp.ClientCapabilities(general=general)))
    it.encoding = answer.capabilities.position_encoding
    it.initialized(lsp.InitializedParams())
    return it


async def stopped(it):
    await it.shutdown_async(None)
    it.exit(None)
    await it.stop()


class Servers:
    """A loop in a thread of its own, and the servers that tests share there: to start one takes a second."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.clients = {}
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def wait(self, work):
        async def patiently():
            async with asyncio.timeout(PATIENCE):
                return await work

        return asyncio.run_coroutine_threadsafe(patiently(), self.loop).result()

    def run(self, test, encoding=None):
        """Run `test(client)`; columns are counted in units of an encoding."""
        if encoding not in self.clients:
            self.clients[encoding] = self.wait(started(None if encoding is None else [encoding]))
        self.wait(test(self.clients[encoding]))

    def stop(self):
        for it in self.clients.values():
            self.wait(stopped(it))
        self.loop.call_soon_threadsafe(self.loop.stop)
        while self.loop.is_running():
            time.sleep(0.01)
        self.loop.close()


@pytest.fixture(scope="module")
def servers():
    it = Servers()
    yield it
    it.stop()


def place(text, word, number=0):
    """Row and column, from 0, of an occurrence of a word."""
    at = -1
    for _ in range(number + 1):
        at = text.index(word, at + 1)
    row = text.count("\n", 0, at)
    return row, at - (text.rfind("\n", 0, at) + 1)


def complaints(text):
    with pytest.raises(TplError) as problem:
        compile_program(Source(text))
    return problem.value.diagnostics


def test_diagnostics_are_those_of_the_command_line_and_follow_the_text(servers):
    async def test(it):
        it.open(WRONG)
        shown = await it.diagnostics(1)
        found = complaints(WRONG)
        assert len(found) == 2
        assert [x.message for x in shown] == [f"{d.message}\nhelp: {d.hint}" for d in found]
        assert [(x.range.start.line + 1, x.range.start.character + 1) for x in shown] == [d.span[:2] for d in found]
        it.change(WRONG.replace("xii", "xi"), 2)
        assert [x.message.split("\n")[0] for x in await it.diagnostics(2)] == ["there is no function `tahn`"]
        it.change(WRONG.replace("xii", "xi").replace("tahn", "tanh"), 3)
        assert await it.diagnostics(3) == []

    servers.run(test)


def test_what_is_said_of_names(servers):
    async def test(it):
        it.open(MLP)
        assert await it.diagnostics(1) == []
        assert "the number 1.41421" in await it.hover(*place(MLP, "sigma_w = "))
        weights = await it.hover_with_limit(*place(MLP, "W[l] @"))
        assert "parameter of network `f`: [1]: a matrix [n, 10]; [2], [3]: a matrix [n, n]" in weights
        assert "param W[l] : [n, n] ~ N(0, sigma_w^2 / n)  # line 14, l in 2..L" in weights
        assert "iid Gaussian entries" in weights
        h = await it.hover_with_limit(*place(MLP, "h[l-1]"))
        assert "a family of 3: a vector [n] each" in h
        explained = str(tpl.loads(MLP).explain())
        equations = h.split("```text\n")[1].split("\n```")[0].splitlines()
        assert "Z^{h^1} = Ẑ^{W^1 ξ} + Z^{b^1}" in equations
        assert any(x.startswith("Z^{h^l} = Ẑ^{W^l ") for x in equations)
        assert all(x in explained for x in equations)
        assert "covariance of a network's outputs" in await it.hover(*place(MLP, "nngp(f"))
        assert "Independent vectors" in await it.hover(*place(MLP, "sphere("))
        assert "trained array" in await it.hover(*place(MLP, "param "))
        assert "size of the data: the number 10" in await it.hover(*place(MLP, "d]):"))
        assert await it.hover(MLP[: MLP.index("\n\n")].count("\n") + 1, 0) == ""

    servers.run(test)


def test_where_names_are_given_their_meaning(servers):
    training = bundled_experiments()["paper/features"].read_text(encoding="utf-8")

    def at(text, *words):
        """Where the names of some occurrences stand: (word, its length, which)."""
        found = [(place(text, word, number), length) for word, length, number in words]
        return [((row, column), (row, column + length)) for (row, column), length in found]

    async def test(it):
        it.open(MLP)
        family = at(MLP, ("h[1] = ", 1, 0), ("h[l] = ", 1, 0))
        assert await it.definition(*place(MLP, "h[L]")) == family
        assert await it.definition(*place(MLP, "h[l-1]")) == family
        assert await it.definition(*place(MLP, "l-1")) == at(MLP, ("l in 2..L", 1, 0))
        assert await it.definition(*place(MLP, "L]")) == at(MLP, ("L = 3", 1, 0))
        assert await it.definition(*place(MLP, "phi(h[L])")) == at(MLP, ("phi(z) =", 3, 0))
        assert await it.definition(*place(MLP, "z)\n")) == at(MLP, ("z) =", 1, 0))
        assert await it.definition(*place(MLP, "xi + b")) == at(MLP, ("xi[d]", 2, 0))
        assert await it.definition(*place(MLP, "X)")) == at(MLP, ("X[N, d]", 1, 0))
        assert await it.definition(*place(MLP, "f, X)", 1)) == at(MLP, ("f(xi[d])", 1, 0))
        assert await it.definition(*place(MLP, "d)\n")) == at(MLP, ("d] = sphere", 1, 0))
        assert await it.definition(*place(MLP, "n] ~")) == at(MLP, ("n\ndata", 1, 0))
        assert await it.definition(*place(MLP, "relu(z)")) == []
        it.open(training)
        family = at(training, ("h[1] = ", 1, 0), ("h[l] = ", 1, 0))
        assert await it.definition(*place(training, "h[l]), feature")) == family

    servers.run(test)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_columns_are_counted_in_the_units_of_the_client(servers, encoding):
    bytes_, codec = {"utf-8": (1, "utf-8"), "utf-16": (2, "utf-16-le")}[encoding]
    row, column = place(GREEK, "𝜉\nshow")
    units = len(GREEK.splitlines()[row][:column].encode(codec)) // bytes_
    wrong = GREEK.replace("𝒚 * 𝒚", "𝒚 * 𝒙")

    async def test(it):
        assert it.encoding == encoding
        it.open(GREEK)
        assert await it.diagnostics(1) == []
        name = len("𝜉".encode(codec)) // bytes_
        first = len("random ".encode(codec)) // bytes_
        assert await it.definition(row, units) == [((4, first), (4, first + name))]
        assert "the number 4" in await it.hover(1, len("const 𝛔".encode(codec)) // bytes_)
        it.change(wrong, 2)
        (shown,) = await it.diagnostics(2)
        before, word = len("show avg(𝒚 * ".encode(codec)) // bytes_, len("𝒙".encode(codec)) // bytes_
        assert (shown.range.start.character, shown.range.end.character) == (before, before + word)

    servers.run(test, None if encoding == "utf-16" else encoding)


def test_suggestions_are_carried_out_and_texts_formatted(servers):
    async def test(it):
        it.open(WRONG)
        shown = await it.diagnostics(1)
        document, everywhere = it.document, lsp.Range(lsp.Position(0, 0), lsp.Position(99, 0))
        context = lsp.CodeActionContext(shown)
        actions = await it.text_document_code_action_async(lsp.CodeActionParams(document, everywhere, context))
        text = WRONG
        for action in actions:
            (edit,) = action.edit.changes[it.uri]
            text = edited(text, edit)
        assert [x.title for x in actions] == ["Replace by `xi`", "Replace by `tanh`"]
        it.change(text, 2)
        assert await it.diagnostics(2) == []
        it.change(text.replace("U @ xi", "U@xi"), 3)
        options = lsp.FormattingOptions(4, True)
        (edit,) = await it.text_document_formatting_async(lsp.DocumentFormattingParams(document, options))
        assert edit.new_text == text
        it.change(text.replace("return", "return ("), 4)
        assert await it.text_document_formatting_async(lsp.DocumentFormattingParams(document, options)) is None

    servers.run(test)


def edited(text, edit):
    rows = text.split("\n")
    start, end = edit.range.start, edit.range.end
    assert start.line == end.line
    rows[start.line] = rows[start.line][: start.character] + edit.new_text + rows[start.line][end.character :]
    return "\n".join(rows)


def test_outline_references_and_completion(servers):
    async def test(it):
        it.open(MLP)
        await it.diagnostics(1)
        document = it.document
        outline = await it.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
        assert [x.name for x in outline] == ["L", "sigma_w", "sigma_b", "phi", "n", "X", "f"]
        network = outline[-1]
        assert [x.name for x in network.children] == ["xi", "W", "b", "h", "v", "c"]
        last = MLP[: MLP.index("\n\nshow")].count("\n")
        assert (network.range.start.line, network.range.end.line) == (place(MLP, "network")[0], last)
        uses = await it.text_document_references_async(
            lsp.ReferenceParams(lsp.ReferenceContext(True), document, lsp.Position(*place(MLP, "phi(z)")))
        )
        assert [x.range.start.line for x in uses] == [place(MLP, "phi", n)[0] for n in range(3)]
        items = await it.text_document_completion_async(lsp.CompletionParams(document, lsp.Position(30, 0)))
        labels = [x.label for x in items.items]
        assert len(labels) == len(set(labels))
        assert {"sigma_w", "phi", "f", "network", "tanh", "sphere", "nngp", "parametrization", "mup"} <= set(labels)

    servers.run(test)


def test_half_written_and_hostile_texts_do_not_end_the_server(servers):
    hostile = [
        "", "\x00", "(" * 5000, "network f(", "show " + "(" * 200 + "1" + ")" * 200, "const a = 9^9^9^9^9", '"""', "\ud7ff\r\r\n",
        "for l in 1..10^12:\n    x[l] = l\nshow x[1]", "width n\n" * 300, MLP[:777], MLP + "\nh[",
    ]  # fmt: skip

    async def test(it):
        it.open(MLP)
        for version, text in enumerate(hostile, 2):
            it.change(text, version)
            await it.diagnostics(version)
            await it.hover(0, 0)
            await it.definition(99, 99)
        it.change(MLP, 99)
        assert await it.diagnostics(99) == []
        assert await it.definition(*place(MLP, "L]"))

    servers.run(test)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygls.lsp.server", None)
    monkeypatch.delitem(sys.modules, "tpl.editor.server", raising=False)
    result = CliRunner().invoke(app, ["lsp"])
    assert result.exit_code == 2
    assert "pip install 'tpl[lsp]'" in result.output


def test_what_takes_too_long_is_ended_and_the_next_question_is_answered():
    async def test():
        worker = Worker()
        try:
            with pytest.raises(NoAnswer):
                await worker.ask("explain", MLP, 0.01)
            answer = await worker.ask("names", WRONG, PATIENCE)
            assert [x["message"] for x in answer["diagnostics"]] == [x.message for x in complaints(WRONG)]
        finally:
            await worker.stop()

    asyncio.run(test())


def test_a_program_that_takes_long_is_checked_by_names_alone(monkeypatch):
    monkeypatch.setattr("tpl.editor.documents.ANALYSIS_SECONDS", 0.01)

    async def test():
        published = []
        documents = Documents(lambda document, analysis: published.append((document.version, analysis)))
        try:
            documents.put(URI, 1, MLP)  # withdrawn by the next version before it is looked at
            documents.put(URI, 2, WRONG)
            document, analysis = await documents.analysis(URI)
            assert (document.version, analysis.whole) == (2, False)
            assert [x.message for x in analysis.diagnostics] == [x.message for x in complaints(WRONG)]
            assert [version for version, _ in published] == [2]
        finally:
            await documents.close()

    asyncio.run(test())


def test_a_worker_imports_nothing_from_the_folder_that_is_edited_in(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(1)")
    (tmp_path / "lark.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")

    async def test():
        worker = Worker()
        try:
            assert (await worker.ask("names", MLP, PATIENCE))["diagnostics"] == []
        finally:
            await worker.stop()

    asyncio.run(test())
