"""The words that editors know are those of the language, no more and no fewer."""

import re

import pytest

from tpl.core.calls import _OVER_LISTS
from tpl.core.functions import BUILTIN_CONSTANTS, CALLABLE
from tpl.core.losses import LOSSES
from tpl.data import GENERATORS
from tpl.editor.words import GROUPS, NAMES, OWN_DOCS, words
from tpl.language import training_words
from tpl.language.check import CONSTANTS
from tpl.language.parse import _grammar
from tpl.resources import grammar_dir

GRAMMAR = (grammar_dir() / "tpl.lark").read_text(encoding="utf-8")


def test_keywords_are_those_of_the_grammar():
    code = re.sub(r"//.*", "", GRAMMAR)
    quoted = set(re.findall(r'"(\w+)"', code))
    assert set(NAMES["keyword"]) == quoted | {"mod"}  # `mod` is an operator that is a word
    assert re.search(r"\|mod\(", code)
    assert {t.pattern.value for t in _grammar().terminals if t.name.isalpha() and t.pattern.value.isalpha()} == quoted


def test_functions_are_those_that_programs_can_call():
    assert set(NAMES["function"]) == {*CALLABLE, *_OVER_LISTS, "nngp", "ntk", "N"}
    assert set(NAMES["generator"]) == set(GENERATORS)
    assert set(NAMES["constant"]) == set(BUILTIN_CONSTANTS) == set(CONSTANTS)


def test_words_of_training_are_those_of_train_blocks():
    assert set(NAMES["setting"]) == set(training_words.SETTINGS)
    measures = {name for name in training_words.measures("NETWORK") if "NETWORK" not in name}
    assert set(NAMES["measure"]) == measures
    assert set(LOSSES) < set(NAMES["choice"])


@pytest.mark.parametrize("group", GROUPS)
def test_every_word_has_its_line(group):
    found = [x for x in words() if x.group == group]
    assert [x.name for x in found] == list(NAMES[group])
    assert len({x.name for x in found}) == len(found)
    for word in found:
        assert word.doc
        assert word.name in word.usage
    own = set(OWN_DOCS.get(group, {}))
    assert own <= set(NAMES[group])
