"""Pictures: strangers' bytes decode or are refused by name; class folders are read lazily."""

from __future__ import annotations

import builtins
import hashlib
import io
import os
import pickle
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from secateur.data import DATA_SETS, data_set, draw, image_folder, load, restrict, tiny_imagenet10
from secateur.data import folders as folders_module
from secateur.data import tiny_imagenet as tiny_module
from secateur.data.npz import npz_arrays
from secateur.data.pictures import decode_rgb, resized
from secateur.errors import DataFileError, InputError, MissingExtraError
from secateur.types import ByteSource, Source

MOST = 10_000


def smooth(height: int = 40, width: int = 60, seed: int = 0) -> Image.Image:
    """Return a colour picture without sharp edges, so that lossy formats keep it nearly."""
    small = np.random.default_rng(seed).integers(30, 226, size=(4, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def packed(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """Return a picture in a format."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return one chunk of a PNG file with its right checksum."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_that_claims(width: int, height: int) -> bytes:
    """Return a PNG file of a hundred bytes whose header claims any size."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


# decoding


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        ("RGB", "JPEG"),
        ("L", "JPEG"),
        ("CMYK", "JPEG"),
        ("YCbCr", "JPEG"),
        ("1", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("RGB", "WEBP"),
        ("RGBA", "WEBP"),
        ("P", "BMP"),
        ("RGB", "BMP"),
    ],
)
def test_every_mode_becomes_rgb_of_nearly_the_same_colours(mode, form):
    wanted = smooth().convert(mode).convert("RGB")
    found = decode_rgb(packed(smooth().convert(mode), form), what="picture", most_pixels=MOST)
    assert found.dtype == np.uint8 and found.shape == (40, 60, 3)
    assert np.abs(found.astype(int) - np.asarray(wanted)).mean() < 4


@pytest.mark.parametrize("form", ["PNG", "BMP", "WEBP"])
def test_lossless_formats_keep_every_pixel(form):
    pixels = np.random.default_rng(0).integers(0, 256, size=(9, 7, 3), dtype=np.uint8)
    options = {"lossless": True} if form == "WEBP" else {}
    data = packed(Image.fromarray(pixels), form, **options)
    assert np.array_equal(decode_rgb(data, what="picture", most_pixels=63), pixels)


def test_sixteen_bits_of_grey_are_scaled_not_cut_off():
    values = np.array([[0, 255, 32_768, 65_535]], np.uint16)
    found = decode_rgb(packed(Image.fromarray(values)), what="picture", most_pixels=4)
    assert found[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_transparency_is_dropped_and_the_colours_below_are_kept():
    data = packed(Image.new("RGBA", (2, 1), (200, 100, 50, 0)))
    assert decode_rgb(data, what="p", most_pixels=2).tolist() == [[[200, 100, 50]] * 2]


def test_orientation_in_the_metadata_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    data = packed(smooth(), "JPEG", exif=exif)
    assert decode_rgb(data, what="picture", most_pixels=MOST).shape == (40, 60, 3)


def test_damaged_metadata_does_no_harm_and_warns_of_nothing():
    good = packed(smooth(), "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x1a\x01\x05\0"  # five entries promised, none complete
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode_rgb(good[:2] + segment + good[2:], what="picture", most_pixels=MOST)
    assert np.array_equal(found, decode_rgb(good, what="picture", most_pixels=MOST))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.97])
def test_a_truncated_picture_is_refused_by_name(form, share):
    data = packed(smooth(), form)
    with pytest.raises(DataFileError, match=r"^cats/one"):
        decode_rgb(data[: int(share * len(data))], what="cats/one", most_pixels=MOST)


def test_a_truncated_picture_is_refused_even_where_a_notebook_lets_it_pass(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = packed(smooth(99, 99), "JPEG")
    with pytest.raises(DataFileError, match="truncated or damaged"):
        decode_rgb(data[: int(0.9 * len(data))], what="one", most_pixels=MOST)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize("side", [60_000, 10_000, 101])
def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded(side, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(DataFileError, match=r"bomb .*10000|at most 10000 are read"):
        decode_rgb(png_that_claims(side, side), what="bomb ", most_pixels=MOST)


def test_no_flipped_bit_in_the_pixels_of_a_png_passes():
    good = packed(smooth(20, 30))
    for place in range(good.index(b"IDAT") + 4, good.index(b"IEND") - 4):
        data = bytearray(good)
        data[place] ^= 1
        with pytest.raises(DataFileError, match=r"^one cannot be decoded"):
            decode_rgb(bytes(data), what="one", most_pixels=MOST)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"not a picture, but a letter", "not a picture that is read here"),
        (packed(smooth(), "GIF"), "not a picture that is read here"),
        (packed(smooth(), "TIFF"), "not a picture that is read here"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture that is read here"),
        (b"\xff\xd8\xff", "not a picture that is read here"),
    ],
)
def test_what_is_no_picture_of_the_list_is_refused(data, says):
    with pytest.raises(DataFileError, match=says):
        decode_rgb(data, what="one", most_pixels=MOST)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animation_is_refused(form):
    data = packed(smooth(), form, save_all=True, append_images=[smooth(seed=1)])
    with pytest.raises(DataFileError, match="animated"):
        decode_rgb(data, what="one", most_pixels=MOST)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
@settings(max_examples=150, deadline=None)
@given(draws=st.data())
def test_altered_pictures_decode_or_are_refused_with_our_error_alone(form, draws):
    good = packed(smooth(12, 9), form)
    altered = bytearray(good)
    for _ in range(draws.draw(st.integers(1, 4))):
        where = draws.draw(st.one_of(st.integers(0, 60), st.integers(0, len(good) - 1)))
        altered[where % len(good)] = draws.draw(st.integers(0, 255))
    try:
        found = decode_rgb(bytes(altered), what="the picture", most_pixels=MOST)
    except DataFileError as error:
        assert str(error).startswith("the picture ")
    else:
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
        assert found.size <= 3 * MOST


def test_without_pillow_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"secateur\[images\]"):
        decode_rgb(b"x", what="one", most_pixels=1)


# scaling


def slow_line(values: np.ndarray, n: int) -> np.ndarray:
    """Scale the first axis to n by a triangle as wide as the step, the definition of antialiased
    bilinear scaling, sample by sample.
    """
    step = len(values) / n
    reach = max(step, 1.0)
    rows = []
    for i in range(n):
        centre = (i + 0.5) * step
        weights = np.array(
            [max(0.0, 1 - abs(j + 0.5 - centre) / reach) for j in range(len(values))]
        )
        rows.append(np.tensordot(weights / weights.sum(), values, axes=1))
    return np.array(rows)


@pytest.mark.parametrize(
    ("height", "width", "size", "crop"),
    [(50, 75, 16, 14), (75, 50, 16, 14), (33, 33, 16, 16), (9, 20, 16, 12), (16, 31, 16, 15)],
)
def test_scaling_and_cropping_is_the_slow_definition(height, width, size, crop):
    rgb = np.random.default_rng(0).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
    short = min(height, width)
    tall, wide = (size if side == short else size * side // short for side in (height, width))
    whole = slow_line(slow_line(rgb.astype(float), tall).swapaxes(0, 1), wide).swapaxes(0, 1)
    top, left = round((tall - crop) / 2), round((wide - crop) / 2)
    wanted = whole[top : top + crop, left : left + crop]
    found = resized(rgb, size=size, crop=crop)
    assert found.shape == (crop, crop, 3)
    assert np.abs(found - wanted).max() < 1.6  # rounded twice to whole grey levels


def test_a_picture_of_the_right_size_is_not_touched():
    rgb = np.random.default_rng(0).integers(0, 256, size=(16, 16, 3), dtype=np.uint8)
    assert np.array_equal(resized(rgb, size=16, crop=16), rgb)
    assert np.array_equal(resized(rgb, size=16, crop=8), rgb[4:12, 4:12])


@pytest.mark.parametrize("shape", [(1, 200_000, 3), (200_000, 1, 3)])
def test_a_very_long_picture_costs_no_memory(shape):
    # scaled as a whole it would be 256 x 51,200,000 pixels, 39 GB
    assert (resized(np.full(shape, 9, np.uint8), size=256, crop=224) == 9).all()


def test_impossible_scales_and_arrays_are_refused():
    good = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="crop=9"):
        resized(good, size=8, crop=9)
    for bad in (good[:, :, 0], good.astype(float), good[:0]):
        with pytest.raises(InputError, match=r"\[height, width, 3\]"):
            resized(bad, size=8, crop=4)


# class folders


def put_pictures(root: Path, names: list[str]) -> Path:
    """Write small pictures, each another."""
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        form = {".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}.get(path.suffix.lower(), "JPEG")
        path.write_bytes(packed(smooth(20, 30, seed), form))
    return root


IMAGENET = [
    "train/n02/a.JPEG",
    "train/n02/b.jpeg",
    "train/n01/z.jpg",
    "train/n01/y.PNG",
    "val/n01/c.webp",
    "val/n02/d.bmp",
]


@pytest.fixture
def imagenet(tmp_path):
    return put_pictures(tmp_path / "pictures", IMAGENET)


@pytest.fixture
def decoded(monkeypatch):
    """Count what is decoded."""
    calls: list[str] = []

    def counting(data, *, what, most_pixels):
        calls.append(Path(what).name)
        return decode_rgb(data, what=what, most_pixels=most_pixels)

    monkeypatch.setattr(folders_module, "decode_rgb", counting)
    return calls


def test_imagenets_layout_gives_parts_classes_and_names_in_order(imagenet):
    records = image_folder(imagenet, size=14, resize=16)
    assert records.source.names == (
        "train/n01/y.PNG",
        "train/n01/z.jpg",
        "train/n02/a.JPEG",
        "train/n02/b.jpeg",
        "val/n01/c.webp",
        "val/n02/d.bmp",
    )
    assert records.labels.tolist() == [0, 0, 1, 1, 0, 1]
    assert records.groups["part"].tolist() == ["train"] * 4 + ["val"] * 2
    assert records.n_classes == 2 and records.input_shape == (3, 14, 14)
    assert isinstance(records.source, Source)


def test_class_folders_at_the_top_have_no_parts(tmp_path):
    root = put_pictures(tmp_path, ["dog/1.png", "cat/2.png", "train/3.png"])  # a class of trains
    records = image_folder(root)
    assert records.source.names == ("cat/2.png", "dog/1.png", "train/3.png")
    assert records.groups == {} and records.n_classes == 3


def test_building_the_records_decodes_nothing_and_gathering_only_what_is_asked(imagenet, decoded):
    records = image_folder(imagenet, size=14, resize=16)
    assert len(records.digest) == 64 and decoded == []
    found = records.gather(np.array([4, 0, 4]))
    assert decoded == ["c.webp", "y.PNG", "c.webp"]
    assert found.dtype == np.float32 and found.shape == (3, 3, 14, 14)
    assert np.array_equal(found[0], found[2]) and not np.array_equal(found[0], found[1])


def test_gathered_pictures_are_the_scaled_pixels_channels_first(imagenet):
    records = image_folder(imagenet, size=14, resize=16)
    for i, name in enumerate(records.source.names):
        pixels = np.asarray(Image.open(imagenet / name).convert("RGB"))
        wanted = resized(pixels, size=16, crop=14)
        found = records.gather(np.array([i]))[0]
        assert np.allclose(found.transpose(1, 2, 0) * 255, wanted, atol=1e-4)
        assert found.min() >= 0 and found.max() <= 1


def test_indices_mean_what_they_mean_for_arrays(imagenet):
    source = image_folder(imagenet, size=14, resize=16).source
    whole = source.gather(np.arange(6))
    assert np.array_equal(source.gather(np.array([-1])), whole[[-1]])
    assert np.array_equal(source.gather(np.arange(6) > 3), whole[4:])
    assert source.gather(np.array([], int)).shape == (0, 3, 14, 14)
    with pytest.raises(IndexError):
        source.gather(np.array([6]))


def test_a_corrupt_picture_is_named_when_it_is_gathered_and_not_before(imagenet):
    path = imagenet / "train/n02/a.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    records = image_folder(imagenet)
    assert records.gather(np.array([0, 1, 3, 4, 5])).shape == (5, 3, 224, 224)
    with pytest.raises(DataFileError, match=r"n02/a\.JPEG.*(truncated|damaged)"):
        records.gather(np.array([2]))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a letter\n", "not a picture that is read here"),
        (b"", "is empty"),
        (png_that_claims(60_000, 60_000), "is refused|claims"),
        (png_that_claims(10_001, 10_000), "claims 10001 x 10000"),
    ],
)
def test_what_only_looks_like_a_picture_is_named_when_it_is_gathered(imagenet, content, says):
    (imagenet / "train/n01/z.jpg").write_bytes(content)
    records = image_folder(imagenet)
    with pytest.raises(DataFileError, match=rf"n01/z\.jpg.*({says})"):
        records.gather(np.array([1]))


def test_a_picture_that_has_gone_is_named(imagenet):
    records = image_folder(imagenet)
    (imagenet / "train/n01/z.jpg").unlink()
    with pytest.raises(DataFileError, match=r"n01/z\.jpg cannot be read"):
        records.gather(np.array([1]))
    with pytest.raises(DataFileError, match=r"n01/z\.jpg cannot be read"):
        records.source.digest()


def test_a_file_beyond_any_picture_is_refused_unread(imagenet, monkeypatch):
    monkeypatch.setattr(folders_module, "MOST_BYTES", 100)
    with pytest.raises(DataFileError, match="more than 100 bytes"):
        image_folder(imagenet).gather(np.array([0]))


def test_the_digest_sees_one_byte_a_name_and_the_scale_and_is_made_once(imagenet):
    def digest(**scale: int) -> str:
        return image_folder(imagenet, **scale).source.digest()

    before = digest()
    assert digest() == before
    assert digest(size=223) != before and digest(resize=257) != before
    path = imagenet / "val/n02/d.bmp"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    held = image_folder(imagenet).source
    assert held.digest() == before
    path.write_bytes(bytes(data))
    assert digest() != before and held.digest() == before
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert digest() == before
    path.rename(path.with_name("e.bmp"))
    assert digest() != before


def test_a_source_travels_to_a_worker_with_its_digest(imagenet, monkeypatch):
    source = image_folder(imagenet, size=14, resize=16).source
    digest = source.digest()
    monkeypatch.chdir("/")
    again = pickle.loads(pickle.dumps(source))
    assert again == source
    assert np.array_equal(again.gather(np.arange(6)), source.gather(np.arange(6)))
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert again.digest() == digest


def test_a_relative_folder_is_found_from_everywhere(imagenet, monkeypatch, tmp_path):
    monkeypatch.chdir(imagenet.parent)
    records = image_folder(Path("pictures"))
    monkeypatch.chdir("/")
    assert records.gather(np.array([0])).shape == (1, 3, 224, 224)


def test_a_drawn_world_takes_only_its_pictures_into_memory(tmp_path, decoded):
    names = [f"{c}/{i:02}.png" for c in ("cat", "dog") for i in range(10)]
    records = image_folder(put_pictures(tmp_path, names), size=8, resize=8)
    who = draw(records, targets=1, references=2, seed=0, pools={"audit": 8, "utility": 4})
    kept, _ = restrict(records, who)
    assert len(kept) == 12 and len(decoded) == 12
    assert np.array_equal(kept.gather(np.arange(12)), records.gather(kept.ids))


def test_hidden_files_are_passed_over_and_notes_beside_the_classes_too(imagenet):
    wanted = image_folder(imagenet).source
    (imagenet / "train/n01/.DS_Store").write_bytes(b"x")
    (imagenet / "train/n01/._z.jpg").write_bytes(b"x")
    (imagenet / "train/n01/Thumbs.db").write_bytes(b"x")
    (imagenet / "train/.cache").mkdir()
    (imagenet / "train/README.txt").write_text("x")
    (imagenet / "test").mkdir()
    assert image_folder(imagenet).source == wanted


def test_a_class_that_val_lacks_is_no_error(imagenet):
    put_pictures(imagenet, ["train/n03/1.png"])
    assert image_folder(imagenet).n_classes == 3


def test_linked_class_folders_are_followed(tmp_path):
    put_pictures(tmp_path / "elsewhere", ["1.png", "2.png"])
    root = put_pictures(tmp_path / "root", ["cat/1.png"])
    (root / "dog").symlink_to(tmp_path / "elsewhere")
    assert image_folder(root).labels.tolist() == [0, 1, 1]


def empty_class(root: Path) -> None:
    (root / "train/n03").mkdir()


def empty_class_of_val(root: Path) -> None:
    (root / "val/n01/c.webp").unlink()


def unknown_class(root: Path) -> None:
    put_pictures(root, ["val/n09/1.png"])


def no_train(root: Path) -> None:
    (root / "train").rename(root / "training")


def flat_val(root: Path) -> None:
    put_pictures(root, ["val/1.JPEG", "val/2.JPEG"])


def text_in_a_class(root: Path) -> None:
    (root / "train/n01/boxes.txt").write_text("x")


def other_format(root: Path) -> None:
    (root / "train/n01/one.gif").write_bytes(packed(smooth(), "GIF"))


def deeper(root: Path) -> None:
    put_pictures(root, ["train/n01/images/1.png"])


def loop_to_above(root: Path) -> None:
    (root / "train/n01/again").symlink_to(root / "train")


def loop_to_itself(root: Path) -> None:
    (root / "train/n01/x.png").symlink_to(root / "train/n01/x.png")


def link_to_nowhere(root: Path) -> None:
    (root / "train/n01/x.png").symlink_to(root / "gone.png")


def pipe(root: Path) -> None:
    os.mkfifo(root / "train/n01/x.png")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (empty_class, r"class folder \S*train/n03 holds no pictures"),
        (empty_class_of_val, r"class folder \S*val/n01 holds no pictures"),
        (unknown_class, r"val/n09 is a class that is not in \S*train"),
        (no_train, "a folder val but no folder train"),
        (flat_val, r"val holds 2 picture\(s\) outside a class folder, first '1.JPEG'"),
        (text_in_a_class, r"n01/boxes\.txt is not a picture"),
        (other_format, r"n01/one\.gif is not a picture"),
        (deeper, r"n01/images is a folder inside a class folder"),
        (loop_to_above, r"n01/again is a folder inside a class folder"),
        (loop_to_itself, r"n01/x\.png cannot be followed"),
        (link_to_nowhere, r"n01/x\.png is not a regular file"),
        (pipe, r"n01/x\.png is not a regular file"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_bad_layout_has_its_own_message_at_listing(imagenet, spoil, says):
    spoil(imagenet)
    with pytest.raises(DataFileError, match=says):
        image_folder(imagenet)


def test_folders_without_classes_have_their_own_messages(tmp_path):
    with pytest.raises(DataFileError, match="gone cannot be listed"):
        image_folder(tmp_path / "gone")
    with pytest.raises(DataFileError, match="no class folders, so there are no pictures"):
        image_folder(tmp_path)
    put_pictures(tmp_path, ["cat/1.png"])
    with pytest.raises(DataFileError, match="one class folder only, 'cat'"):
        image_folder(tmp_path)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataFileError, match="dog holds no pictures"):
        image_folder(tmp_path)
    put_pictures(tmp_path, ["2.png"])
    with pytest.raises(DataFileError, match="outside a class folder"):
        image_folder(tmp_path)


def test_a_class_folder_that_may_not_be_listed_is_named(imagenet, monkeypatch):
    real = os.scandir

    def refusing(path):
        if Path(path).name == "n02":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataFileError, match=r"n02 cannot be listed.*Permission denied"):
        image_folder(imagenet)


@pytest.mark.parametrize("scale", [{"size": 0}, {"size": 300}, {"size": 9.5}, {"resize": True}])
def test_impossible_sizes_are_refused(imagenet, scale):
    with pytest.raises(InputError, match=r"size in 1 \.\. resize"):
        image_folder(imagenet, **scale)


def test_image_folder_by_name_needs_a_folder(imagenet):
    with pytest.raises(InputError, match="image-folder is read from a folder, and none is named"):
        load("image-folder")
    assert load("image-folder", imagenet).input_shape == (3, 224, 224)
    assert data_set("image-folder").recipe == ""  # the classes are the user's


# the npz form


def npz(arrays: dict[str, np.ndarray], **options: object) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays, **options)
    return out.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def npy(header: bytes, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def one(path: Path, data: bytes, kind: str = "uint8", shape=(None,), most: int = 100_000):
    path.write_bytes(data)
    return npz_arrays(path, {"a": (kind, shape)}, most=most)["a"]


@pytest.mark.parametrize(
    ("values", "kind", "shape"),
    [
        (np.arange(7, dtype=np.uint8), "uint8", (7,)),
        (np.arange(6, dtype=np.int64).reshape(2, 3), "int64", (None, 3)),
        (np.array([True, False]), "bool", (None,)),
        (np.float32(1.5).reshape(()), "float32", ()),
        (np.zeros((0, 3), np.float32), "float32", (None, 3)),
        (np.array([b"ab", b"c"]), "S2", (2,)),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_numpy_saved_them(tmp_path, values, kind, shape, save):
    path = tmp_path / "x.npz"
    save(path, a=values, b=np.zeros(3))
    found = npz_arrays(path, {"a": (kind, shape)}, most=MOST)["a"]
    assert found.dtype == values.dtype and np.array_equal(found, values)


U1 = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }\n"
GOOD = np.arange(9, dtype=np.uint8)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cannot be read as an npz file"),
        (b"no zip at all", "cannot be read as an npz file"),
        (npz({"a": GOOD})[:-30], "cannot be read as an npz file"),
        (npz({"b": GOOD}), "has no array 'a'; it holds b"),
        (npz({"a": GOOD.astype(np.int64)}), "type <i8 and the shape .9,., expected .u1 and any"),
        (npz({"a": GOOD.reshape(3, 3)}), r"shape \(3, 3\)"),
        (npz({"a": np.array([{}], dtype=object)}), "not an array of plain values"),
        (npz({"a": np.zeros(200_000, np.uint8)}), "bytes, at most 100000 are expected"),
        (zipped({"a.npy": bytes(200_000)}, zipfile.ZIP_DEFLATED), "claims 200000 bytes, at most"),
        (zipped({"a.npy": npy(U1 % b"9,")}, zipfile.ZIP_LZMA), "packed by method 14"),
        (zipped({"a.npy": b"NUMPY"}), "not in the npy format"),
        (
            zipped({"a.npy": npy(U1 % b"999999999999,", b"x")}),
            "promises 999999999999 bytes, it holds 1",
        ),
        (zipped({"a.npy": npy(U1 % b"2,", b"xyz")}), "goes on after"),
        (zipped({"a.npy": npy(b"__import__('os').abort()\n")}), "not an array of plain values"),
        (zipped({"a.npy": npy((U1 % b"3,").replace(b"False", b"True"), b"xyz")}), "in row order"),
        (zipped({"a.npy": npy(b"(" * 60_000)}), "not an array of plain values"),
    ],
)
def test_each_bad_npz_is_refused_with_what_is_wrong(tmp_path, data, says):
    with pytest.raises(DataFileError, match=says):
        one(tmp_path / "x.npz", data)


def test_an_altered_byte_of_an_array_is_noticed(tmp_path):
    data = bytearray(npz({"a": GOOD}))
    data[data.index(GOOD.tobytes())] ^= 1
    with pytest.raises(DataFileError, match="CRC"):
        one(tmp_path / "x.npz", bytes(data))


@settings(max_examples=300, deadline=None)
@given(draws=st.data())
def test_altered_npz_files_raise_our_error_alone(tmp_path_factory, draws):
    data = bytearray(npz({"a": GOOD}))
    for _ in range(draws.draw(st.integers(1, 4))):
        data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    cut = draws.draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    try:
        found = one(tmp_path_factory.getbasetemp() / "altered.npz", bytes(data[:cut]))
    except DataFileError:
        return
    assert found.dtype == np.uint8 and found.ndim == 1


# Tiny-ImageNet


def tiny_arrays() -> dict[str, np.ndarray]:
    """Return 6 pictures, the last 2 of them validation, one of them grey."""
    files = [packed(smooth(64, 64, seed), "JPEG") for seed in range(5)]
    files.append(packed(smooth(64, 64, 5).convert("L"), "JPEG"))
    return {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "labels": np.array([0, 0, 9, 9, 0, 9], np.uint8),
        "is_val": np.array([False] * 4 + [True] * 2),
        "file_names": np.array([b"x"] * 6),
    }


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Make a small file the canonical one; return what puts a changed one into a folder."""

    def digest(arrays: dict[str, np.ndarray]) -> str:
        content = [arrays[k].tobytes() for k in ("jpeg", "offsets", "labels", "is_val")]
        return hashlib.sha256(b"".join(content)).hexdigest()

    def put(*, canonical: bool = True, **changed: np.ndarray) -> Path:
        arrays = {**tiny_arrays(), **changed}
        monkeypatch.setattr(tiny_module, "COUNTS", {"train": 4, "val": 2})
        known = digest(arrays if canonical else tiny_arrays())
        monkeypatch.setattr(tiny_module, "SHA256", {tiny_module.FILE: known})
        (tmp_path / tiny_module.FILE).write_bytes(npz(arrays))
        return tmp_path

    return put


def test_tiny_imagenet_gives_bytes_labels_and_parts_in_file_order(tiny):
    records = tiny_imagenet10(tiny())
    assert isinstance(records.source, ByteSource)
    assert records.source.values.shape == (6, 3, 64, 64)
    assert records.labels.tolist() == [0, 0, 9, 9, 0, 9] and records.n_classes == 10
    assert records.groups["part"].tolist() == ["train"] * 4 + ["val"] * 2
    first = Image.open(io.BytesIO(packed(smooth(64, 64, 0), "JPEG")))
    assert np.array_equal(records.source.values[0], np.asarray(first).transpose(2, 0, 1))
    grey = records.gather(np.array([5]))[0]
    assert np.array_equal(grey[0], grey[1]) and np.array_equal(grey[0], grey[2])
    assert grey.min() >= 0 and grey.max() <= 1


def damaged() -> np.ndarray:
    """Return the JPEG bytes with the second picture's header spoilt."""
    arrays = tiny_arrays()
    jpeg = arrays["jpeg"].copy()
    jpeg[arrays["offsets"][1]] = 0
    return jpeg


def other_size() -> dict[str, np.ndarray]:
    files = [packed(smooth(64, 64), "JPEG")] * 3 + [packed(smooth(63, 64), "JPEG")] * 3
    return {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
    }


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"labels": np.array([0, 0, 10, 9, 0, 9], np.uint8)}, "label 10 of picture 2"),
        ({"labels": np.array([0, 9], np.uint8)}, r"'labels'.*shape \(2,\)"),
        ({"offsets": np.arange(7)}, "offsets do not rise from 0"),
        ({"offsets": tiny_arrays()["offsets"][[0, 2, 1, 3, 4, 5, 6]]}, "offsets do not rise"),
        ({"is_val": np.array([True] * 6)}, "is_val must be false for the first 4"),
        ({"jpeg": damaged()}, r"tiny_imagenet10\.npz, picture 1 is not a picture"),
        (other_size(), r"picture 3 is \(63, 64\), expected \(64, 64\)"),
    ],
)
def test_a_changed_tiny_imagenet_is_refused_with_what_is_wrong(tiny, changed, says):
    with pytest.raises(DataFileError, match=says):
        tiny_imagenet10(tiny(**changed))


def test_another_file_of_the_same_form_is_refused(tiny):
    with pytest.raises(DataFileError, match="not tiny-imagenet10"):
        tiny_imagenet10(tiny(canonical=False, labels=np.array([0, 1, 9, 9, 0, 9], np.uint8)))


def test_a_missing_tiny_imagenet_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataFileError, match=r"no file at any of \S*tiny_imagenet10\.npz; put"):
        load("tiny-imagenet10", tmp_path)


def test_both_are_registered():
    assert {"tiny-imagenet10", "image-folder"} <= {d.name for d in DATA_SETS}
