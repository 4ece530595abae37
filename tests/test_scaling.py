"""Elaboration is linear: in the lines it makes, and in the source."""

import sys
import time
import tracemalloc

import tpl

RNN = """
width n
data X[T, d] = sphere({T}, 3, seed=0)
random U : [n, d] ~ N(0, 1 / d)
random W : [n, n] ~ N(0, 1 / n)
h[1] = tanh(U @ X[1])
for t in 2..T:
    h[t] = tanh(W @ h[t-1] + U @ X[t])
m = avg(h[t] for t in 1..T)
show avg(m^2)
"""


def elaborate(steps):
    return tpl.loads(RNN.format(T=steps)).program


def measure(steps):
    start = time.process_time()
    program = elaborate(steps)
    seconds = time.process_time() - start
    return len(program.lines), seconds


def allocated(steps):
    tracemalloc.start()
    try:
        program = elaborate(steps)
        return tracemalloc.get_traced_memory()[1] / len(program.lines)
    finally:
        tracemalloc.stop()


def test_lines_grow_with_the_loop():
    counts = [len(elaborate(t).lines) for t in (100, 200, 400)]
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])


def test_memory_a_line_does_not_grow():
    small, large = allocated(300), allocated(3000)
    assert large < 1.5 * small


def test_work_a_line_does_not_grow():
    """Counted in bytecode instructions, not in seconds."""

    def instructions(steps):
        count = 0

        def trace(frame, event, arg):
            nonlocal count
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            count += event == "opcode"
            return trace

        sys.settrace(trace)
        try:
            lines = len(elaborate(steps).lines)
        finally:
            sys.settrace(None)
        return count / lines

    instructions(20)  # what runs once a process
    assert instructions(640) < 1.2 * instructions(80)
