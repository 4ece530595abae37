"""`--data X=SOURCE` and arrays from Python: what is accepted, what is refused, and in which words."""

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tpl.data import DataError, from_array, generate, load_source
from tpl.data.sources import FORMS

ROOM = 10**8
MEMORY = "take a smaller array or raise --max-memory"
REAL = "only real numbers, integers and booleans are accepted"
DAMAGED = "it may be damaged or cut short"


def refusal(action, *args):
    with pytest.raises(DataError) as caught:
        action(*args)
    return caught.value.message, caught.value.hint


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work inside an empty folder, so that messages name bare files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- generators


@pytest.mark.parametrize(
    ("text", "name", "args", "options"),
    [
        ("sphere:4,10", "sphere", (4, 10), {}),
        ("sphere:4,10,seed=1", "sphere", (4, 10), {"seed": 1}),
        ("sphere: 4, 10 , seed = 1", "sphere", (4, 10), {"seed": 1}),
        ("angles:0,1.5,-2e-1", "angles", (0, 1.5, -0.2), {}),
        ("basis:3", "basis", (3,), {}),
        ("cifar10:16", "cifar10", (16,), {}),
        ("cifar10:16,size=8,normalize=none", "cifar10", (16,), {"size": 8, "normalize": "none"}),
        ("cifar10_labels:16", "cifar10_labels", (16,), {}),
        (
            "cifar10_labels:6,classes=cat,dog,encoding=sign",
            "cifar10_labels",
            (6,),
            {"classes": "cat,dog", "encoding": "sign"},
        ),
        ("cifar10:6,classes=3, 5", "cifar10", (6,), {"classes": "3,5"}),
        ('cifar10:6,classes="cat,dog",size=8', "cifar10", (6,), {"classes": "cat,dog", "size": 8}),
        ("cifar10:6,classes='cat, dog'", "cifar10", (6,), {"classes": "cat,dog"}),
        ('cifar10_labels:6,classes="all"', "cifar10_labels", (6,), {}),
    ],
)
def test_generator_sources(text, name, args, options):
    expected = generate(name, args, options, ROOM)
    given = load_source(text, ROOM)
    np.testing.assert_array_equal(given.array, expected.array)
    assert given.description == expected.description


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "'' is neither a generator nor a .npy, .npz or .csv file", FORMS),
        ("inputs.pkl", "'inputs.pkl' is neither a generator nor a .npy, .npz or .csv file", FORMS),
        (
            "spher:4,10",
            "'spher:4,10' is neither a generator nor a .npy, .npz or .csv file",
            "did you mean sphere?",
        ),
        ("sphere", "sphere needs at least 2 sizes, got 0", "usage: sphere(N, ..., d, seed=0)"),
        ("sphere:", "sphere needs at least 2 sizes, got 0", "usage: sphere(N, ..., d, seed=0)"),
        ("sphere:4,,10", "sphere: empty argument in '4,,10'", FORMS),
        ("sphere:4,10,=1", "sphere: empty argument in '4,10,=1'", FORMS),
        ("sphere:4,10,seed=1,seed=2", "sphere: option 'seed' is given twice", None),
        (
            "sphere:4,seed=1,10",
            "sphere: '10' comes after the option seed",
            "sizes come before options",
        ),
        (
            "sphere:4,1_0",
            "sphere: size 2 must be an integer of at least 1, not '1_0'",
            "usage: sphere(N, ..., d, seed=0)",
        ),
        pytest.param(
            "sphere:4," + "9" * 5000,
            "sphere: size 2 must be an integer of at least 1, not inf",
            "usage: sphere(N, ..., d, seed=0)",
            id="long number",
        ),
        ("sphere:4,10@folder", "sphere takes no @FOLDER", "only these do: cifar10, cifar10_labels"),
        ("cifar10:4@", "cifar10: no folder after @", "as in cifar10:16@cifar-10-batches-py"),
        ("sphere:400,10", "sphere of shape [400, 10] needs 32 kB, more than the limit of 10 kB", MEMORY),
    ],
)
def test_generator_source_refusals(text, message, hint):
    assert refusal(load_source, text, 10_000) == (message, hint)


# ---- .npy


@pytest.mark.parametrize("dtype", ["?", "u1", "<i8", ">i2", "f2", "<f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_every_real_type(here, dtype, order):
    array = np.asarray(np.arange(6).reshape(2, 3) % 2, dtype=dtype, order=order)
    np.save("x.npy", array)
    dataset = load_source("x.npy", ROOM)
    np.testing.assert_array_equal(dataset.array, array)
    assert dataset.array.dtype == np.float64
    assert dataset.array.flags.c_contiguous
    assert not dataset.array.flags.writeable
    cast = "" if array.dtype.name == "float64" else f", cast from {array.dtype.name} to float64"
    assert dataset.description == f"array of shape [2, 3] from 'x.npy', taken as it is{cast}"


def test_scalar_and_capital_suffix(here):
    np.save("x.npy", np.float64(3))
    os.rename("x.npy", "X.NPY")
    assert load_source("X.NPY", ROOM).array == 3


@pytest.mark.parametrize(
    ("array", "message", "hint"),
    [
        (np.zeros((0, 3)), "x.npy is empty: its shape is [0, 3]", None),
        (np.zeros(2, complex), "x.npy holds complex numbers", REAL),
        (np.array(["a"]), "x.npy holds entries of type '<U1'", REAL),
        (np.zeros(2, "M8[s]"), "x.npy holds entries of type 'datetime64[s]'", REAL),
        (np.zeros(2, [("a", "f8")]), "x.npy holds entries of type \"[('a', '<f8')]\"", REAL),
        (np.array([{"a": 1}], dtype=object), "x.npy holds entries of type 'object'", REAL),
        (np.zeros((40, 25)), "x.npy of shape [40, 25] needs 8 kB, more than the limit of 1 kB", MEMORY),
        (np.zeros(200, bool), "x.npy of shape [200] needs 1.6 kB, more than the limit of 1 kB", MEMORY),
        (
            np.array([[1, 2], [np.nan, np.inf]]),
            "x.npy has 2 of 4 entries that are not finite, the first at [2, 1]: nan",
            "indices count from 1; replace or drop these entries",
        ),
        (
            np.array([1, -np.inf], np.float32),
            "x.npy has 1 of 2 entries that are not finite, the first at [2]: -inf",
            "indices count from 1; replace or drop these entries",
        ),
    ],
)
def test_npy_refusals(here, array, message, hint):
    np.save("x.npy", array, allow_pickle=True)
    assert refusal(load_source, "x.npy", 1000) == (message, hint)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here")
def test_long_double_beyond_float64(here):
    np.save("x.npy", np.array([1, np.finfo(np.longdouble).max]))
    assert refusal(load_source, "x.npy", 1000)[0] == (
        "x.npy has 1 of 2 entries that are not finite, the first at [2]: inf"
    )


def npy_bytes(header, version=(1, 0), body=b""):
    text = header.encode("latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + body


def header(shape, descr="'<f8'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"not an array",
        b"\x80\x04K\x01.",
        npy_bytes(header("(4,)"), body=b"\x00" * 8),
        npy_bytes(header("(-1,)"), body=b"\x00" * 8),
        npy_bytes(header("(2,)", "'nonsense'")),
        npy_bytes("((((" * 2000),
        npy_bytes("__import__('os').system('touch marker')"),
        npy_bytes(header("(2,)") + " " * 100_000, (2, 0), b"\x00" * 16),
        npy_bytes(header("(2,)"), (3, 0), b"\x00" * 16),
        npy_bytes(header("(2,)"), (9, 9), b"\x00" * 16),
    ],
)
def test_damaged_npy(here, raw):
    (here / "x.npy").write_bytes(raw)
    assert refusal(load_source, "x.npy", ROOM) == ("x.npy is not a readable .npy file", DAMAGED)
    assert not (here / "marker").exists()


def test_npy_header_bomb(here):
    (here / "x.npy").write_bytes(npy_bytes(header("(1000000000000,)")))
    message = "x.npy of shape [1000000000000] needs 8 TB, more than the limit of 100 MB"
    assert refusal(load_source, "x.npy", ROOM) == (message, MEMORY)


# ---- finding files


def test_nearest_file_is_suggested(here):
    (here / "inputs.npy").touch()
    assert refusal(load_source, "input.npy", ROOM) == (
        "there is no file 'input.npy'",
        "did you mean inputs.npy?",
    )
    assert refusal(load_source, "zzz.csv", ROOM) == ("there is no file 'zzz.csv'", None)
    assert refusal(load_source, "no/x.npz:a", ROOM) == (
        "there is no file 'no/x.npz'",
        "there is no folder 'no' either",
    )
    assert refusal(load_source, "a\0.npy", ROOM) == ("there is no file 'a\\x00.npy'", None)


def test_folders_and_pipes_are_no_files(here):
    (here / "x.npy").mkdir()
    assert refusal(load_source, "x.npy", ROOM) == ("x.npy is a folder", None)
    if hasattr(os, "mkfifo"):
        os.mkfifo("y.csv")
        assert refusal(load_source, "y.csv", ROOM) == ("y.csv is not a regular file", None)


def test_unreadable_file(here, monkeypatch):
    def denied(*args, **options):
        raise PermissionError(13, "Permission denied")

    np.save("x.npy", np.ones(2))
    monkeypatch.setattr(Path, "open", denied)
    assert refusal(load_source, "x.npy", ROOM) == ("x.npy cannot be read: Permission denied", None)


def test_home_is_expanded(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    np.save("x.npy", np.ones(2))
    assert load_source("~/x.npy", ROOM).array.shape == (2,)
    assert refusal(load_source, "~nobody-at-all/x.npy", ROOM)[0] == "there is no file '~nobody-at-all/x.npy'"


# ---- .npz


def test_npz_by_name_and_alone(here):
    np.savez("one.npz", a=np.ones((2, 3)))
    np.savez_compressed("two.npz", a=np.ones((2, 3)), b=np.zeros(4))
    assert load_source("one.npz", ROOM).array.shape == (2, 3)
    assert load_source("one.npz:a", ROOM).description == "array of shape [2, 3] from 'one.npz:a', taken as it is"
    assert load_source("two.npz:b", ROOM).array.shape == (4,)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "two.npz",
            "two.npz holds 2 arrays: 'a', 'b'",
            "name one, as in 'two.npz:a', or take all, as sequences: 'two.npz:*'",
        ),
        ("two.npz:c", "two.npz holds no array 'c'", "it holds 'a', 'b'"),
        ("two.npz:", "two.npz holds no array ''", "it holds 'a', 'b'"),
        (
            "many.npz",
            "many.npz holds 9 arrays: 'a0', 'a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', ...",
            "name one, as in 'many.npz:a0', or take all, as sequences: 'many.npz:*'",
        ),
        ("none.npz", "none.npz holds no arrays", None),
        ("two.npz:a", "array 'a' of two.npz holds entries of type 'object'", REAL),
        ("two.npz:b", "two.npz:b has 1 of 1 entries that are not finite, the first at [1]: nan", None),
    ],
)
def test_npz_refusals(here, text, message, hint):
    np.savez("two.npz", a=np.array([None]), b=np.array([np.nan]))
    np.savez("many.npz", **{f"a{i}": np.ones(1) for i in range(9)})
    with zipfile.ZipFile("none.npz", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    given, advice = refusal(load_source, text, ROOM)
    assert given == message
    assert hint is None or advice == hint


def zipped(path, raw, compression=zipfile.ZIP_DEFLATED, name="a.npy"):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, raw)


def test_zip_bomb_is_refused_by_its_header(here):
    zipped("x.npz", npy_bytes(header("(20000000,)"), body=bytes(50_000_000)))
    assert os.path.getsize("x.npz") < 100_000
    message = "array 'a' of x.npz of shape [20000000] needs 160 MB, more than the limit of 100 MB"
    assert refusal(load_source, "x.npz", ROOM) == (message, MEMORY)


def test_zip_bomb_behind_a_small_header_is_not_expanded(here, monkeypatch):
    read = []
    plain = zipfile.ZipExtFile.read

    def counted(self, n=-1):
        piece = plain(self, n)
        read.append(len(piece))
        return piece

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    zipped("x.npz", npy_bytes(header("(2,)"), body=bytes(50_000_000)))
    assert load_source("x.npz", ROOM).array.tolist() == [0, 0]
    assert sum(read) < 100_000


def test_zip_bomb_in_the_header_is_not_expanded(here):
    zipped("x.npz", npy_bytes(header("(2,)") + " " * 50_000_000, (2, 0), bytes(16)))
    assert refusal(load_source, "x.npz", ROOM) == ("x.npz is not a readable .npz file", DAMAGED)


def test_damaged_npz(here):
    np.savez_compressed("x.npz", a=np.arange(1000.0))
    raw = (here / "x.npz").read_bytes()
    flipped = bytearray(raw)
    flipped[200] ^= 255
    for spoilt in (b"", b"nonsense", raw[:100], raw[:-5], bytes(flipped)):
        (here / "x.npz").write_bytes(spoilt)
        assert refusal(load_source, "x.npz", ROOM) == ("x.npz is not a readable .npz file", DAMAGED)


def test_foreign_compression_and_hostile_names(here):
    stream = io.BytesIO()
    np.save(stream, np.ones(2))
    zipped("x.npz", stream.getvalue(), zipfile.ZIP_LZMA)
    assert refusal(load_source, "x.npz", ROOM) == (
        "array 'a' of x.npz uses a compression that numpy does not write",
        None,
    )
    zipped("x.npz", npy_bytes(header("(0,)")), name="\x1b[31m.npy")
    assert refusal(load_source, "x.npz", ROOM)[0] == "array '\\x1b[31m' of x.npz is empty: its shape is [0]"


# ---- .csv


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("1,2\r\n3,4", [[1, 2], [3, 4]]),
        ("\ufeffa,b\n1,2\n", [[1, 2]]),
        ("# a, b\n\n 1 , -2.5e1\n  \n3,4\n", [[1, -25], [3, 4]]),
        ('"x, first",y\n"1",2\n', [[1, 2]]),
        ("y\n1\n2\n\n", [1, 2]),
        ("7", [7]),
    ],
)
def test_csv(here, text, expected):
    (here / "x.csv").write_text(text, encoding="utf-8", newline="")
    dataset = load_source("x.csv", ROOM)
    np.testing.assert_array_equal(dataset.array, expected)
    shape = list(np.shape(expected))
    assert dataset.description == f"array of shape {shape} from 'x.csv', taken as it is"


RAGGED = "every line needs the same number of columns"
DECIMALS = "numbers are separated by commas, with a point for decimals"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "x.csv is empty: it holds no numbers", None),
        ("a,b\n", "x.csv is empty: it holds no numbers", None),
        ("1,2\n3\n", "x.csv: line 2 has 1 column, the lines before it have 2", RAGGED),
        ("a,b\n1,2\n\n1,2,3\n", "x.csv: line 4 has 3 columns, the lines before it have 2", RAGGED),
        ("1,2\n3,x\n", "x.csv: line 2, column 2: 'x' is not a number", DECIMALS),
        ("1,b\n3,4\n", "x.csv: line 1, column 2: 'b' is not a number", DECIMALS),
        ("a,b\nc,d\n", "x.csv: line 2, column 1: 'c' is not a number", DECIMALS),
        ("1,\n", "x.csv: line 1, column 2: '' is not a number", DECIMALS),
        ("1;2\n3;4\n", "x.csv: line 1, column 1: '1;2' is not a number", DECIMALS),
        ("1 2\n3 4\n", "x.csv: line 1, column 1: '1 2' is not a number", DECIMALS),
        ("1;a\n3;4\n", "x.csv: line 2, column 1: '3;4' is not a number", DECIMALS),
        ("1\n1_000\n", "x.csv: line 2, column 1: '1_000' is not a number", DECIMALS),
        ("1\n\u0663\n", "x.csv: line 2, column 1: '\u0663' is not a number", DECIMALS),
        ('1,"2\n', "x.csv is not a readable .csv file", DAMAGED),
        ("1,2\n3,nan\n", "x.csv has 1 of 4 entries that are not finite, the first at [2, 2]: nan", None),
        (
            "1,2\n" * 70,
            "x.csv (up to line 63) of shape [63, 2] needs 1.008 kB, more than the limit of 1 kB",
            MEMORY,
        ),
        (
            "1," * 125 + "1\n",
            "x.csv: line 1 alone has more numbers than the limit on memory admits",
            MEMORY,
        ),
        (
            "1,2\n" * 20_000,
            "x.csv has 80 kB of text, too much for an array of 1 kB",
            MEMORY,
        ),
    ],
)
def test_csv_refusals(here, text, message, hint):
    (here / "x.csv").write_text(text, encoding="utf-8", newline="")
    given, advice = refusal(load_source, "x.csv", 1000)
    assert given == message
    assert hint is None or advice == hint


def test_binary_csv(here):
    (here / "x.csv").write_bytes(b"\xff\xfe1,2")
    assert refusal(load_source, "x.csv", ROOM) == ("x.csv is not a readable .csv file", DAMAGED)


# ---- arrays from Python


def test_from_array_copies():
    mine = np.arange(6.0).reshape(2, 3)
    dataset = from_array("X", mine, ROOM)
    mine[0, 0] = 9
    assert dataset.array[0, 0] == 0
    assert mine.flags.writeable
    assert not dataset.array.flags.writeable
    assert dataset.description == "array of shape [2, 3] given as 'X' by the caller, taken as it is"


def test_from_array_casts_and_orders():
    dataset = from_array("X", np.arange(6, dtype=np.int32).reshape(2, 3).T, ROOM)
    assert dataset.array.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert dataset.array.flags.c_contiguous
    assert dataset.description.endswith(", cast from int32 to float64")


@pytest.mark.parametrize(
    ("array", "message", "hint"),
    [
        ([1, 2], "X is a list, not a numpy array", "use numpy.asarray"),
        (np.ma.array([1, 2], mask=[0, 1]), "X is a masked array", "fill or drop the masked entries first"),
        (np.zeros(0), "X is empty: its shape is [0]", None),
        (np.zeros(2, complex), "X holds complex numbers", REAL),
        (np.array(["a"]), "X holds entries of type '<U1'", REAL),
        (np.array([None]), "X holds entries of type 'object'", REAL),
        (
            np.broadcast_to(np.float64(0), (10**6, 10**6)),
            "X of shape [1000000, 1000000] needs 8 TB, more than the limit of 100 MB",
            MEMORY,
        ),
        (
            np.array([[[0, 1], [2, np.inf]]]),
            "X has 1 of 4 entries that are not finite, the first at [1, 2, 2]: inf",
            "indices count from 1; replace or drop these entries",
        ),
    ],
)
def test_from_array_refusals(array, message, hint):
    assert refusal(from_array, "X", array, ROOM) == (message, hint)
