"""Whatever the text, the answer is numbers or a diagnostic: no traceback, no hang, no flood of memory."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import tpl

sys.path.insert(0, str(Path(__file__).parent))
import fuzzing

LIMITS = tpl.Limits(max_lines=20_000, max_memory=2**28)
EXAMPLES = int(os.environ.get("TPL_FUZZ_EXAMPLES", "150"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(fuzzing.texts())
def test_every_text_runs_or_is_diagnosed(text):
    start = time.process_time()  # of this process: other work on the machine does not count
    answer(text)
    assert time.process_time() - start < 10


def answer(text):
    """Run a program as far as it goes; anything but numbers or diagnostics is an error."""
    try:
        program = tpl.loads(text, limits=LIMITS)
        program.check(samples=16, replicates=2)
        program.run(samples=16, replicates=2, threads=1)
    except tpl.TplError as error:
        if not error.diagnostics or not all(d.message for d in error.diagnostics):
            raise AssertionError("an error that says nothing") from error


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(fuzzing.texts())
def test_every_text_is_answered_by_its_law_or_diagnosed(text):
    """As users run it: by pairs, by the law if it is short."""
    start = time.process_time()  # of this process: other work on the machine does not count
    with suppress(tpl.TplError):
        tpl.loads(text, limits=LIMITS).run(threads=1)
    assert time.process_time() - start < 10


@pytest.mark.slow
def test_three_thousand_texts_in_a_gigabyte():
    """The same test, in a process of its own whose peak memory is read at its end."""
    code = (
        "import sys, resource, pytest; "
        f"code = pytest.main(['-q', '-p', 'no:cacheprovider', {str(Path(__file__))!r} "
        "+ '::test_every_text_runs_or_is_diagnosed']); "
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20; "
        "print(f'peak {peak:.2f} GiB'); sys.exit(code or peak > 1)"
    )
    environment = os.environ | {"TPL_FUZZ_EXAMPLES": "3000"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
