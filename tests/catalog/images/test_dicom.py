import io
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.images import dicom
from clipc.catalog.images.decode import DecodeError, decode, image_size, read_samples
from clipc.catalog.open import open_catalog

pydicom = pytest.importorskip("pydicom")
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402

PLAIN, RLE, JPEG_LS, MPEG = (f"1.2.840.10008.1.2.{end}" for end in ("1", "5", "4.80", "4.100"))
RAMP = np.repeat(np.linspace(0, 1, 32)[None], 8, axis=0)
TWELVE = np.rint(RAMP * 4095).astype(np.uint16)
SIGNED = np.rint(RAMP * 2000 - 1000).astype(np.int16)


def make(values: np.ndarray, kind: str = "MONOCHROME2", bits: int = 0, syntax: str = PLAIN, **tags: object) -> bytes:
    """A DICOM file of values (height, width[, 3]), or (frames, height, width) with ``NumberOfFrames``."""
    dataset, meta = Dataset(), FileMetaDataset()
    dataset.file_meta = meta
    meta.TransferSyntaxUID = pydicom.uid.UID(PLAIN if syntax == RLE else syntax)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "SECRET^NAME", "SECRET", "CR"
    dataset.Rows, dataset.Columns = values.shape[1:] if "NumberOfFrames" in tags else values.shape[:2]
    dataset.SamplesPerPixel = 3 if kind in ("RGB", "YBR_FULL") else 1
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation, dataset.BitsAllocated = kind, 8 * values.dtype.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = values.tobytes() if syntax in (PLAIN, RLE) else encapsulate([bytes(40)])
    if syntax == RLE:
        dataset.compress(pydicom.uid.UID(RLE))
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def item(**tags: object) -> Dataset:
    dataset = Dataset()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def lut() -> Dataset:
    table = np.rint((1 - np.arange(4096) / 4095) * 65535).astype(np.uint16)
    dataset = Dataset()
    dataset.add_new(0x00283002, "US", [4096, 0, 16])
    dataset.add_new(0x00283006, "OW", table.tobytes())
    return dataset


WINDOW = {"WindowCenter": 0.5, "WindowWidth": 2001}
FRAME = item(
    FrameVOILUTSequence=[item(**WINDOW)],
    PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=-1000)],
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (make(TWELVE, bits=12), RAMP),
        (make(TWELVE, "MONOCHROME1", bits=12), 1 - RAMP),
        (make(TWELVE, bits=12, syntax=RLE), RAMP),
        (make(np.rint(RAMP * 65535).astype(np.uint16)), RAMP),
        (make(SIGNED, **WINDOW), RAMP),
        (make(TWELVE, "MONOCHROME1", bits=12, WindowCenter=2048, WindowWidth=4096), 1 - RAMP),
        (make(SIGNED, WindowCenter=[0.5, 300], WindowWidth=[1001, 50]), np.clip(RAMP * 2 - 0.5, 0, 1)),
        (make(TWELVE // 2, bits=12, RescaleSlope=1, RescaleIntercept=-1000, WindowCenter=24, WindowWidth=2048), RAMP),
        (make(TWELVE, bits=12, VOILUTSequence=[lut()]), 1 - RAMP),
        (make((SIGNED + 1000).astype(np.uint16), bits=12, SharedFunctionalGroupsSequence=[FRAME]), RAMP),
        (make(np.rint(np.stack([RAMP, 1 - RAMP]) * 255).astype(np.uint8), NumberOfFrames=2), RAMP),
    ],
)
def test_grey_is_shown_through_its_window(data: bytes, expected: np.ndarray) -> None:
    pixels = decode(data)
    assert image_size(data) == (32, 8)
    assert pixels.shape == (8, 32, 3)
    assert np.abs(pixels / 255 - expected[..., None]).max() < 1.01 / 255


def test_colours() -> None:
    rgb = np.rint(np.stack([RAMP, 1 - RAMP, RAMP * 0], -1) * 255).astype(np.uint8)
    assert (decode(make(rgb, "RGB")) == rgb).all()
    grey = np.dstack([np.rint(RAMP * 255), RAMP * 0 + 128, RAMP * 0 + 128]).astype(np.uint8)
    assert np.abs(decode(make(grey, "YBR_FULL")).astype(int) - grey[..., :1]).max() <= 1


def test_padding_is_black_even_where_black_is_white() -> None:
    values = TWELVE.copy()
    values[:2] = 4000
    data = make(values, "MONOCHROME1", bits=12, PixelPaddingValue=4000)
    assert decode(data)[:2].max() == 0
    assert decode(data)[2:, 0].min() == 255


def test_hounsfield_units_without_a_window_are_refused_or_scaled_as_a_set() -> None:
    data = make(SIGNED, RescaleSlope=2, RescaleIntercept=10)
    with pytest.raises(DecodeError, match=r"a DICOM image of 16 bits.*--intensity auto"):
        decode(data)
    assert np.abs(decode(data, intensity={"float32": (-1990, 2010)})[..., 0] / 255 - RAMP).max() < 1.01 / 255


@pytest.mark.parametrize("data", [make(TWELVE, bits=12), make(TWELVE, bits=12, syntax=RLE)])
def test_no_tag_of_the_patient_is_read(data: bytes) -> None:
    assert b"SECRET" in data
    assert "SECRET" not in str(dicom._dataset(data, pixels=True))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (make(TWELVE, syntax=MPEG), "compressed as MPEG2.*export"),
        (make(TWELVE)[:-40], "damaged"),
        (make(TWELVE)[:-600], "damaged|without"),
        (bytes(128) + b"DICM", "without an image"),
    ],
)
def test_what_is_not_shown_is_named(data: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        decode(data)


def test_compression_without_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    with pytest.raises(DecodeError, match=r"JPEG-LS Lossless.*pip install pylibjpeg"):
        decode(make(TWELVE, syntax=JPEG_LS))


def test_without_pydicom_it_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "pydicom"]:
        monkeypatch.setitem(sys.modules, module, None)
    for call in (decode, image_size):
        with pytest.raises(DecodeError, match=r"a DICOM image.*pip install '.*\[medical\]'"):
            call(bytes(128) + b"DICM" + bytes(100))


def test_a_folder_of_dicom_files(tmp_path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.dcm").write_bytes(make(np.stack([TWELVE] * 2), bits=12, NumberOfFrames=2))
        (tmp_path / f"{n}.txt").write_text(f"chest number {n}")
    catalog = open_catalog(tmp_path)
    assert len(catalog) == 3
    assert "3 images: several frames: the first is taken" in catalog.about.notes
    assert "SECRET" not in str(catalog.table.to_pylist())
    assert np.abs(catalog.image(1) / 255 - RAMP[..., None]).max() < 1.01 / 255


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(128, 500), st.integers(0, 7)), min_size=1, max_size=6), st.integers(0, 700))
def test_damage_gives_pixels_or_a_decode_error(flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(make(TWELVE, bits=12, WindowCenter=2048, WindowWidth=4096))
    for at, bit in flips:
        data[at] ^= 1 << bit
    try:
        samples = read_samples(bytes(data[: len(data) - max(0, cut - 500)]))
    except DecodeError:
        return
    assert samples.values.dtype in (np.uint16, np.uint8, np.float32)
