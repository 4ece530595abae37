"""What a network is applied to: one input, or one after another along the first axis of its data."""

from collections.abc import Sequence
from typing import NamedTuple

from tpl.core.values import Array, Mistake, NetworkValue, Sequences
from tpl.language.source import Span


class Input(NamedTuple):
    """Arrays for a network's inputs, in their order, and the label of lines that come from them."""

    label: str
    arrays: list[Array]


def split(network: NetworkValue, data: Sequence[Array | Sequences], span: Span) -> tuple[bool, list[Input]]:
    """Whether inputs lie along the data's first axis, and the inputs. Raises Mistake at `span` if shapes do not fit."""
    inputs = network.syntax.inputs
    extra = {x.ndim - len(i.dims) for x, i in zip(data, inputs, strict=True)}
    counts = {len(x) for x in data if x.ndim}
    ragged = any(isinstance(x, Sequences) for x in data)
    if extra not in ({0}, {1}) or (extra == {1} and len(counts) > 1) or (extra == {0} and ragged):
        wants = " and ".join(f"`{i.name}` with {len(i.dims)} {'axis' if len(i.dims) == 1 else 'axes'}" for i in inputs)
        given = " and ".join(x.shape_text for x in data)
        raise Mistake(span, f"`{network.syntax.name}` takes {wants}, but the data have shape {given}",
                      "give one input, or several along one more axis in front")  # fmt: skip
    if extra == {0}:
        return False, [Input("{" + data[0].name + "}", [x for x in data if isinstance(x, Array)])]
    return True, [Input(f"{{{data[0].name}[{a}]}}", [x.member(a) for x in data]) for a in range(1, counts.pop() + 1)]
