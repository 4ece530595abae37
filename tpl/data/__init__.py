"""Real input arrays: built-in generators, CIFAR-10, and files. Needs numpy and the standard library only."""

from tpl.data.dataset import DataError, Dataset, sequences
from tpl.data.generators import GENERATORS, Generator, generate
from tpl.data.sources import from_array, load_source

__all__ = ["GENERATORS", "DataError", "Dataset", "Generator", "from_array", "generate", "load_source", "sequences"]
