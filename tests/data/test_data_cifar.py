"""CIFAR-10: which images, what is done to them, and a restricted reading of the official pickles."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from tpl import resources
from tpl.data import DataError, cifar_files, generate, load_source
from tpl.data.cifar import CLASS_NAMES, IMAGE_OPTIONS, IMAGES_DOC, LABEL_OPTIONS, LABELS_DOC
from tpl.data.cifar_files import OFFICIAL_HINT, read_batch

ROOM = 10**8
USAGE = 'usage: cifar10(N, normalize="sphere", size=32, channels="rgb", start=1, classes="all", layout="flat", patch=1)'
CLASSES_HINT = "classes: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck"


def images(count, **options):
    return generate("cifar10", (count,), options, ROOM)


def labels(count, **options):
    return generate("cifar10_labels", (count,), options, ROOM)


def refusal(action, *args, **options):
    with pytest.raises(DataError) as caught:
        action(*args, **options)
    return caught.value.message, caught.value.hint


@pytest.fixture(scope="module")
def bundled():
    with np.load(resources.programs_dir() / "data" / "cifar10_first164.npz") as archive:
        return archive["images"], archive["labels"]


# ---- normalisation and layout


@pytest.mark.parametrize("channels", ["rgb", "grey"])
@pytest.mark.parametrize("size", [2, 4, 8, 16, 32])
def test_sphere_normalisation(size, channels):
    array = images(20, size=size, channels=channels).array
    d = size**2 * (3 if channels == "rgb" else 1)
    assert array.shape == (20, d)
    np.testing.assert_allclose(array.mean(1), 0, atol=1e-14)
    np.testing.assert_allclose(np.square(array).sum(1), d, rtol=1e-13)


@pytest.mark.parametrize("normalize", ["sphere", "centre", "none"])
@pytest.mark.parametrize("channels", ["rgb", "grey"])
@pytest.mark.parametrize("size", [2, 8, 32])
def test_against_a_plain_computation(bundled, normalize, channels, size):
    pixels = bundled[0][:5].astype(float) / 255
    block = 32 // size
    expected = np.zeros((5, 3, size, size))
    for row in range(size):
        for column in range(size):
            area = pixels[:, :, row * block : (row + 1) * block, column * block : (column + 1) * block]
            expected[:, :, row, column] = area.mean((2, 3))
    if channels == "grey":
        expected = expected.mean(1, keepdims=True)
    expected = expected.reshape(5, -1)
    if normalize != "none":
        expected -= expected.mean(1, keepdims=True)
    if normalize == "sphere":
        expected *= np.sqrt(expected.shape[1] / np.square(expected).sum(1, keepdims=True))
    given = images(5, normalize=normalize, channels=channels, size=size).array
    np.testing.assert_allclose(given, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("normalize", ["sphere", "centre", "none"])
def test_layouts_hold_the_same_entries(normalize):
    flat = images(3, size=8, normalize=normalize).array.reshape(3, 3, 8, 8)
    rows = images(3, size=8, normalize=normalize, layout="rows").array
    pixels = images(3, size=8, normalize=normalize, layout="pixels").array
    assert (rows.shape, pixels.shape) == ((3, 8, 24), (3, 64, 3))
    for channel, row, column in [(0, 0, 0), (2, 5, 1), (1, 7, 7)]:
        np.testing.assert_array_equal(rows[:, row, channel * 8 + column], flat[:, channel, row, column])
        np.testing.assert_array_equal(pixels[:, row * 8 + column, channel], flat[:, channel, row, column])


def test_grids_and_patches_hold_the_same_entries():
    flat = images(3, size=8).array.reshape(3, 3, 8, 8)
    np.testing.assert_array_equal(images(3, size=8, layout="grid").array, flat.transpose(0, 2, 3, 1))
    for options in ({"layout": "grid"}, {"layout": "pixels"}):
        patches = images(3, size=8, patch=4, **options).array.reshape(3, 2, 2, 48)
        for i, j in np.ndindex(2, 2):
            square = flat[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
            np.testing.assert_array_equal(patches[:, i, j], square.reshape(3, 48))


def test_rows_are_normalised_as_a_whole_image():
    array = images(4, layout="rows").array
    assert array.shape == (4, 32, 96)
    np.testing.assert_allclose(np.square(array).sum((1, 2)), 3072, rtol=1e-13)
    np.testing.assert_allclose(array.mean((1, 2)), 0, atol=1e-14)


def test_more_images_than_one_chunk(monkeypatch):
    whole = images(20).array
    monkeypatch.setattr("tpl.data.cifar.CHUNK", 7)
    np.testing.assert_array_equal(whole, images(20).array)


# ---- choice of images


def test_start_and_classes_pick_the_same_images_as_labels(bundled):
    _, truth = bundled
    every = images(164).array
    for options in ({"start": 30}, {"classes": "cat,dog"}, {"classes": "5, 3", "start": 11}, {"classes": 6}):
        keep = np.arange(1, 165) >= options.get("start", 1)
        if "classes" in options:
            words = str(options["classes"]).replace(" ", "").split(",")
            keep &= np.isin(truth, [int(w) if w.isdigit() else CLASS_NAMES.index(w) for w in words])
        np.testing.assert_array_equal(images(9, **options).array, every[keep][:9])
        np.testing.assert_array_equal(labels(9, **options).array, truth[keep][:9])


def test_label_encodings(bundled):
    truth = bundled[1]
    np.testing.assert_array_equal(labels(164).array, truth)
    onehot = labels(10, encoding="onehot").array
    assert onehot.shape == (10, 10)
    np.testing.assert_array_equal(onehot.argmax(1), truth[:10])
    np.testing.assert_allclose(onehot.sum(1), 0, atol=1e-15)
    assert set(onehot.ravel()) == {0.9, -0.1}
    sign = labels(12, encoding="sign", classes="truck,frog").array
    index = labels(12, classes="truck,frog").array
    np.testing.assert_array_equal(sign, np.where(index == 9, 1, -1))
    np.testing.assert_array_equal(labels(12, encoding="sign", classes="frog,truck").array, -sign)


@pytest.mark.parametrize(
    ("count", "options", "description"),
    [
        (
            16,
            {},
            ("16 CIFAR-10 images (bundled slice, images 1-16), each centred to mean 0 and scaled to |xi|^2 = d = 3072"),
        ),
        (
            1,
            {"start": 7, "normalize": "none", "size": 8, "channels": "grey"},
            (
                "1 CIFAR-10 image (bundled slice, image 7), averaged over the channels, "
                "averaged over blocks to 8x8, pixels divided by 255, not centred, d = 64"
            ),
        ),
        (
            4,
            {"classes": "cat,dog", "layout": "rows"},
            (
                "4 CIFAR-10 images of class cat or dog (bundled slice, 4 of images 10-27), "
                "each as 32 rows of 96, each centred to mean 0 and scaled to total squared norm 3072"
            ),
        ),
        (
            2,
            {"layout": "grid", "patch": 8},
            (
                "2 CIFAR-10 images (bundled slice, images 1-2), each as 4x4 patches of 192, "
                "each centred to mean 0 and scaled to total squared norm 3072"
            ),
        ),
        (
            2,
            {"layout": "pixels", "size": 4, "normalize": "centre"},
            (
                "2 CIFAR-10 images (bundled slice, images 1-2), averaged over blocks to 4x4, "
                "each as 16 pixels of 3, pixels divided by 255, each centred to mean 0"
            ),
        ),
    ],
)
def test_image_descriptions(count, options, description):
    assert images(count, **options).description == description


@pytest.mark.parametrize(
    ("options", "description"),
    [
        ({}, "2 CIFAR-10 labels (bundled slice, images 1-2), as class indices from 0 to 9"),
        (
            {"encoding": "onehot"},
            "2 CIFAR-10 labels (bundled slice, images 1-2), each a one-hot row in R^10 minus 1/10",
        ),
        (
            {"encoding": "sign", "classes": "frog,truck"},
            ("2 CIFAR-10 labels of class frog or truck (bundled slice, images 1-2), +1 for frog and -1 for truck"),
        ),
    ],
)
def test_label_descriptions(options, description):
    assert labels(2, **options).description == description


def test_every_option_is_documented():
    assert all(f"\n{option}" in IMAGES_DOC for option in IMAGE_OPTIONS)
    assert all(f"\n{option}" in LABELS_DOC for option in ("encoding", "start"))
    assert set(LABEL_OPTIONS) == {"encoding", "start", "classes"}


# ---- refusals


def for_more(call):
    return f"for more, use --data X={call}@FOLDER, where FOLDER is the official cifar-10-batches-py"


@pytest.mark.parametrize(
    ("count", "options", "message", "hint"),
    [
        (
            165,
            {},
            "cifar10: the bundled slice holds 164 images; 165 were asked for",
            for_more("cifar10:165"),
        ),
        (
            2,
            {"start": 164},
            "cifar10: the bundled slice holds 164 images, 1 of them from number 164 on; 2 were asked for",
            for_more("cifar10:2"),
        ),
        (
            20,
            {"classes": "3", "start": 150},
            (
                "cifar10: the bundled slice holds 164 images, 2 of them of class cat from number 150 on; "
                "20 were asked for"
            ),
            for_more("cifar10:20"),
        ),
        (0, {}, "cifar10: N must be an integer of at least 1, not 0", USAGE),
        ("all", {}, "cifar10: N must be an integer of at least 1, not 'all'", USAGE),
        (4, {"start": 0}, "cifar10: start must be an integer of at least 1, not 0", USAGE),
        (4, {"sizes": 8}, "cifar10 has no option 'sizes'", "did you mean size?"),
        (4, {"seed": 8}, "cifar10 has no option 'seed'", "options of cifar10: " + ", ".join(IMAGE_OPTIONS)),
        (
            4,
            {"folder": "/etc"},
            "cifar10 has no option 'folder'",
            "options of cifar10: " + ", ".join(IMAGE_OPTIONS),
        ),
        (4, {"size": 5}, "cifar10: size must be 1, 2, 4, 8, 16 or 32, not 5", None),
        (4, {"size": True}, "cifar10: size must be 1, 2, 4, 8, 16 or 32, not True", None),
        (4, {"size": "8"}, "cifar10: size must be 1, 2, 4, 8, 16 or 32, not '8'", None),
        (4, {"normalize": "center"}, "cifar10: normalize must be sphere, centre or none, not 'center'", None),
        (4, {"normalize": 1}, "cifar10: normalize must be sphere, centre or none, not 1", None),
        (4, {"channels": "gray"}, "cifar10: channels must be rgb or grey, not 'gray'", None),
        (4, {"layout": "row"}, "cifar10: layout must be flat, rows, pixels or grid, not 'row'", None),
        (4, {"patch": 2}, 'cifar10: layout="flat" has no patches', 'layout="pixels" and layout="grid" have'),
        (4, {"layout": "grid", "patch": 5}, "cifar10: patches of side 5 do not tile an image of side 32", None),
        (4, {"classes": "cat,lion"}, "cifar10: 'lion' is no class of CIFAR-10", CLASSES_HINT),
        (4, {"classes": 10}, "cifar10: '10' is no class of CIFAR-10", CLASSES_HINT),
        (4, {"classes": ""}, "cifar10: '' is no class of CIFAR-10", CLASSES_HINT),
        (4, {"classes": "cat,3"}, "cifar10: class cat is named twice", None),
        (
            4,
            {"size": 1, "channels": "grey"},
            "cifar10: image 1 is constant after averaging and cannot be scaled to the sphere",
            'use normalize="centre" or normalize="none"',
        ),
    ],
)
def test_image_refusals(count, options, message, hint):
    assert refusal(images, count, **options) == (message, hint)


@pytest.mark.parametrize(
    ("count", "options", "message", "hint"),
    [
        (
            165,
            {},
            "cifar10_labels: the bundled slice holds 164 images; 165 were asked for",
            for_more("cifar10_labels:165"),
        ),
        (
            4,
            {"encoding": "one"},
            "cifar10_labels: encoding must be index, sign or onehot, not 'one'",
            None,
        ),
        (
            4,
            {"encoding": "sign"},
            'cifar10_labels: encoding="sign" needs two classes, got none',
            'name them, as in classes="cat,dog"',
        ),
        (
            4,
            {"encoding": "sign", "classes": "cat,dog,frog"},
            'cifar10_labels: encoding="sign" needs two classes, got 3',
            'name them, as in classes="cat,dog"',
        ),
        (
            4,
            {"size": 8},
            "cifar10_labels has no option 'size'",
            "options of cifar10_labels: encoding, start, classes",
        ),
    ],
)
def test_label_refusals(count, options, message, hint):
    assert refusal(labels, count, **options) == (message, hint)


def test_wrong_number_of_arguments():
    message = "cifar10 takes one argument, N, got 2"
    assert refusal(generate, "cifar10", (4, 8), {}, ROOM) == (message, USAGE)


def test_missing_or_damaged_slice(monkeypatch, tmp_path):
    monkeypatch.setattr(resources, "programs_dir", lambda: tmp_path)
    path = tmp_path / "data" / "cifar10_first164.npz"
    expected = (f"the bundled CIFAR-10 slice {path} cannot be read", "install tpl again")
    assert refusal(images, 4) == expected
    path.parent.mkdir()
    path.write_bytes(b"not a zip file")
    assert refusal(images, 4) == expected


# ---- the official folder


def batch(seed, count=20):
    bits = np.random.default_rng(seed)
    data = bits.integers(0, 256, (count, 3072), dtype=np.uint8)
    return {
        b"batch_label": b"training batch 1 of 5",
        b"labels": bits.integers(0, 10, count).tolist(),
        b"data": data,
        b"filenames": [b"leptodactylus_s_%06d.png" % i for i in range(count)],
    }


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def python2_batch(content):
    """The bytes that Python 2's cPickle writes at protocol 2: byte strings as BINSTRING, numpy's old names."""

    def string(text):
        if len(text) < 256:
            return b"U" + bytes([len(text)]) + text
        return b"T" + struct.pack("<i", len(text)) + text

    def number(value):
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    data = content[b"data"]
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01"
        + (number(len(data)) + number(3072) + b"\x86")
        + b"cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + (b"\x89" + string(data.tobytes()) + b"tb")
    )
    labels = b"]q\x05(" + b"".join(number(label) for label in content[b"labels"]) + b"e"
    pairs = string(b"labels") + labels + string(b"data") + array
    return b"\x80\x02}q\x01(" + string(b"batch_label") + string(b"training batch 1 of 5") + pairs + b"u."


@pytest.fixture
def folder(tmp_path):
    for number in range(1, 6):
        write(tmp_path / f"data_batch_{number}", batch(number))
    return tmp_path


def test_official_folder_runs_through_the_batches(folder):
    content = [batch(number) for number in range(1, 6)]
    pixels = np.concatenate([c[b"data"] for c in content]) / 255
    truth = np.concatenate([c[b"labels"] for c in content])
    dataset = load_source(f"cifar10:45,normalize=none@{folder}", ROOM)
    np.testing.assert_array_equal(dataset.array, pixels[:45])
    assert dataset.description == (
        f"45 CIFAR-10 images ({folder}, images 1-45), pixels divided by 255, not centred, d = 3072"
    )
    np.testing.assert_array_equal(load_source(f"cifar10_labels:100@{folder}", ROOM).array, truth)
    late = load_source(f"cifar10:3,start=59,normalize=none@{folder}", ROOM)
    np.testing.assert_array_equal(late.array, pixels[58:61])


def test_official_classes_across_batches(folder):
    truth = np.concatenate([batch(number)[b"labels"] for number in range(1, 6)])
    numbers = np.flatnonzero(np.isin(truth, (3, 5))) + 1
    dataset = load_source(f"cifar10_labels:{len(numbers)},classes=cat,dog@{folder}", ROOM)
    np.testing.assert_array_equal(dataset.array, truth[numbers - 1])
    assert f"{len(numbers)} of images {numbers[0]}-{numbers[-1]})" in dataset.description


def test_only_needed_batches_are_read(tmp_path):
    write(tmp_path / "data_batch_1", batch(1))
    assert load_source(f"cifar10:20@{tmp_path}", ROOM).array.shape == (20, 3072)
    expected = (f"there is no file {tmp_path / 'data_batch_2'}", OFFICIAL_HINT)
    assert refusal(load_source, f"cifar10:21@{tmp_path}", ROOM) == expected


def test_too_few_official_images(folder):
    message = f"cifar10: {folder} holds 100 images; 101 were asked for"
    assert refusal(load_source, f"cifar10:101@{folder}", ROOM) == (message, None)


def test_size_limit_comes_before_reading(tmp_path):
    message, _ = refusal(load_source, f"cifar10:10@{tmp_path / 'nowhere'}", 1000)
    assert message == "cifar10 of shape [10, 3072] needs 245.8 kB, more than the limit of 1 kB"


def test_constant_image_is_named(tmp_path):
    content = batch(1)
    content[b"data"][4] = 17
    write(tmp_path / "data_batch_1", content)
    message = "cifar10: image 5 is constant and cannot be scaled to the sphere"
    hint = 'use normalize="centre" or normalize="none"'
    assert refusal(load_source, f"cifar10:8@{tmp_path}", ROOM) == (message, hint)
    assert not load_source(f"cifar10:8,normalize=centre@{tmp_path}", ROOM).array[4].any()


def test_python2_batch_is_read(tmp_path):
    content = batch(3, count=300)
    path = tmp_path / "data_batch_1"
    path.write_bytes(python2_batch(content))
    read = read_batch(path)
    np.testing.assert_array_equal(read.images.reshape(300, 3072), content[b"data"])
    np.testing.assert_array_equal(read.labels, content[b"labels"])


@pytest.mark.parametrize("core", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_protocol_2_batch_is_read(tmp_path, order, core):
    content = batch(4)
    content[b"data"] = np.asarray(content[b"data"], order=order)
    raw = pickle.dumps(content, 2)
    for written in (b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"):
        raw = raw.replace(written, b"c" + core + b"\n")
    path = tmp_path / "data_batch_1"
    path.write_bytes(raw)
    np.testing.assert_array_equal(read_batch(path).images.reshape(20, 3072), content[b"data"])


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


MALICE = "the file may be malicious; use the official CIFAR-10 batches (python version)"


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, f"{os.system.__module__}.system"), (eval, "builtins.eval"), (np.load, "numpy.load")],
)
def test_malicious_pickle_is_refused(tmp_path, function, name, protocol):
    marker = tmp_path / "marker"
    content = batch(1) | {b"extra": Calls(function, f"touch {marker}")}
    path = write(tmp_path / "data_batch_1", content, protocol)
    message, hint = refusal(read_batch, path)
    spelt = {"builtins.eval": "__builtin__.eval"}.get(name, name) if protocol < 3 else name
    assert message == f"{path} is refused: its pickle asks for '{spelt}', which is no array constructor"
    assert hint == MALICE
    assert not marker.exists()


def test_no_numpy_constructor_is_called(tmp_path):
    """numpy's own constructors would allocate what the pickle asks for; ours allocate nothing."""
    huge = (
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"\x8a\x06\x00\x00\x00\x00\x00\x10\x85U\x01b\x87Rs."
    )
    path = tmp_path / "data_batch_1"
    path.write_bytes(huge)
    assert refusal(read_batch, path) == (f"{path} is no CIFAR-10 batch: it has no b'labels'", OFFICIAL_HINT)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not a pickle",
        b"\x80\x02}.trailing"[:2],
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # memo index of 2^31
        b"\x80\x02Np99999999999\n.",
        b"\x80\x02T\xff\xff\xff\x7fabc.",  # string of 2^31 bytes
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fabc.",  # bytes of 2^63
        b"\x80\x02(K\x01i.",
        b"\x80\x02Ppersistent\n.",
        b"\x80\x02cnumpy\nndarray\n)R.",  # calling the stand-in
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R.",
        b"\x80\x02cnumpy\ndtype\nq\x00}X\x01\x00\x00\x00aK\x01s\x86b.",
    ],
)
def test_broken_pickles(tmp_path, raw):
    path = tmp_path / "data_batch_1"
    path.write_bytes(raw)
    message, hint = refusal(read_batch, path)
    assert message in (
        f"{path} is no CIFAR-10 batch: its pickle cannot be read",
        f"{path} is no CIFAR-10 batch: its pickle holds no dict",
    )
    assert hint == OFFICIAL_HINT


def test_every_cut_of_a_batch_is_refused(tmp_path):
    raw = pickle.dumps(batch(1, count=1), 2)
    path = tmp_path / "data_batch_1"
    for end in range(0, len(raw), 97):
        path.write_bytes(raw[:end])
        assert refusal(read_batch, path)[0] == f"{path} is no CIFAR-10 batch: its pickle cannot be read"


def test_a_pickle_cannot_change_the_next_reading(tmp_path):
    """BUILD may set attributes on what a pickle names; the stand-ins must not outlive the file."""
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x02cnumpy\ndtype\n}X\x0c\x00\x00\x00__defaults__Ns}\x86b.")
    refusal(read_batch, path)
    write(path, batch(1))
    assert len(read_batch(path).labels) == 20


class Spoilt:
    """Ways to spoil a batch, each a function of a good one."""

    def without_data(good):
        return {key: value for key, value in good.items() if key != b"data"}

    def without_labels(good):
        return {key: value for key, value in good.items() if key != b"labels"}

    def data_list(good):
        return good | {b"data": good[b"data"].tolist()}

    def data_int8(good):
        return good | {b"data": good[b"data"].astype(np.int8)}

    def data_objects(good):
        return good | {b"data": good[b"data"].astype(object)}

    def data_images(good):
        return good | {b"data": good[b"data"].reshape(-1, 3, 32, 32)}

    def data_narrow(good):
        return good | {b"data": good[b"data"][:, :100]}

    def labels_array(good):
        return good | {b"labels": np.array(good[b"labels"])}

    def labels_short(good):
        return good | {b"labels": good[b"labels"][:-1]}

    def label_ten(good):
        return good | {b"labels": [*good[b"labels"][:-1], 10]}

    def label_text(good):
        return good | {b"labels": ["cat", *good[b"labels"][1:]]}

    def label_true(good):
        return good | {b"labels": [True, *good[b"labels"][1:]]}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (list, "its pickle holds no dict"),
        (Spoilt.without_data, "it has no b'data'"),
        (Spoilt.without_labels, "it has no b'labels'"),
        (Spoilt.data_list, "b'data' is no array"),
        (Spoilt.data_int8, "b'data' is no array of uint8"),
        (Spoilt.data_objects, "b'data' is no array of uint8"),
        (Spoilt.data_images, "b'data' has shape [20, 3, 32, 32], not [n, 3072]"),
        (Spoilt.data_narrow, "b'data' has shape [20, 100], not [n, 3072]"),
        (Spoilt.labels_array, "b'labels' is no list of 20 integers, one an image"),
        (Spoilt.labels_short, "b'labels' is no list of 20 integers, one an image"),
        (Spoilt.label_ten, "label 20 is 10, not an integer from 0 to 9"),
        (Spoilt.label_text, "label 1 is 'cat', not an integer from 0 to 9"),
        (Spoilt.label_true, "label 1 is True, not an integer from 0 to 9"),
    ],
)
def test_spoilt_batches(tmp_path, spoil, reason):
    path = write(tmp_path / "data_batch_1", spoil(batch(1)))
    assert refusal(read_batch, path) == (f"{path} is no CIFAR-10 batch: {reason}", OFFICIAL_HINT)


def test_array_with_too_few_bytes(tmp_path):
    raw = python2_batch(batch(1, count=2)).replace(b"(K\x01K\x02M\x00\x0c\x86", b"(K\x01K\x03M\x00\x0c\x86")
    path = tmp_path / "data_batch_1"
    path.write_bytes(raw)
    message, _ = refusal(read_batch, path)
    assert message == f"{path} is no CIFAR-10 batch: b'data' of shape [3, 3072] comes with 6144 bytes"


def test_array_without_bytes(tmp_path):
    content = batch(1, count=1)
    pixels = b"T" + struct.pack("<i", 3072) + content[b"data"].tobytes()
    path = tmp_path / "data_batch_1"
    path.write_bytes(python2_batch(content).replace(pixels, b"N"))
    assert refusal(read_batch, path)[0] == f"{path} is no CIFAR-10 batch: b'data' is no array"


def test_batch_without_images(tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(python2_batch(batch(1, count=0)))
    message, _ = refusal(read_batch, path)
    assert message == f"{path} is no CIFAR-10 batch: b'data' has shape [0, 3072], not [n, 3072]"


def test_missing_folder_and_large_file(tmp_path, monkeypatch):
    nowhere = tmp_path / "nowhere"
    assert refusal(load_source, f"cifar10:2@{nowhere}", ROOM) == (
        f"there is no folder {nowhere}",
        OFFICIAL_HINT,
    )
    path = write(tmp_path / "data_batch_1", batch(1))
    monkeypatch.setattr(cifar_files, "LARGEST_FILE", 1000)
    assert refusal(read_batch, path) == (f"{path} is larger than 1 kB", OFFICIAL_HINT)


def test_unreadable_file(tmp_path, monkeypatch):
    def denied(*args, **options):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path / "data_batch_1", batch(1))
    monkeypatch.setattr(Path, "open", denied)
    assert refusal(read_batch, path) == (f"{path} cannot be read: Permission denied", None)


def test_folder_in_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_source(f"cifar10:2@~/{Path(folder).name}", ROOM).array.shape == (2, 3072)
