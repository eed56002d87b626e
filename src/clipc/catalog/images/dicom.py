"""DICOM through pydicom: the first frame as its window shows it; no tag but those of the pixels is read."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.catalog.images.samples import DecodeError, Samples, damage_refused, extra_package, size_shown
from clipc.installation import install_command

_TAGS = [
    "Modality", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence",
    "VOILUTFunction", "WindowCenter", "WindowWidth", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
]  # fmt: skip
_FRAME_GROUPS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}
_WHITE = 65535.0


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are a DICOM file."""
    return data[128:132] == b"DICM"


def dicom_size(data: bytes) -> tuple[int, int]:
    """Width and height.

    Raises:
        DecodeError: The header is damaged or incomplete, or pydicom is not installed.
    """
    with damage_refused("the DICOM header"):
        return _size(_dataset(data, pixels=False))


def read_dicom(data: bytes) -> Samples:
    """The first frame of a DICOM file: through its modality LUT and its first window or VOI LUT.

    Without a window, unsigned values are shown from their whole range (``BitsStored``); others, such as Hounsfield
    units, have no fixed range. MONOCHROME1 is inverted. Padding is missing.

    Raises:
        DecodeError: The file is damaged, holds no image, or is compressed in a way that no installed package decodes.
    """
    with damage_refused("the DICOM image"):
        dataset = _dataset(data, pixels=True)
        width, height = _size(dataset)
        _check_decoder(dataset)
        kind = f"a DICOM image of {dataset.BitsStored} bits ({dataset.PhotometricInterpretation})"
        values: npt.NDArray[Any] = _pydicom("pixels").pixel_array(dataset, index=0)
        if values.shape not in ((height, width), (height, width, 3)):
            raise DecodeError(f"{kind} in an unknown order")
        samples = _grey(dataset, values, kind) if values.ndim == 2 else _colours(dataset, values)
        several = int(dataset.get("NumberOfFrames") or 1) > 1
    return samples._replace(kind=kind, notes=("several frames: the first is taken",) if several else ())


def _grey(dataset: Any, stored: npt.NDArray[Any], kind: str) -> Samples:
    processing = _pydicom("pixels")
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return _colours(dataset, processing.apply_color_lut(stored, dataset))
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for sequence, names in _FRAME_GROUPS.items():
            for item in (dataset.get(groups) or [{}])[0].get(sequence) or []:
                for name in (name for name in names if name in item):
                    setattr(dataset, name, getattr(item, name))
    bits, signed = int(dataset.BitsStored), int(dataset.PixelRepresentation) == 1
    ends = np.array([-(1 << bits - 1), (1 << bits - 1) - 1] if signed else [0, (1 << bits) - 1], np.int64)
    values = processing.apply_modality_lut(stored, dataset)
    inverse = dataset.PhotometricInterpretation == "MONOCHROME1"
    if dataset.get("VOILUTSequence"):
        black, white = 0.0, float((1 << dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
        values = processing.apply_voi(values, dataset, index=0)
    elif dataset.get("WindowWidth") is not None and dataset.get("WindowCenter") is not None:
        # What the window makes of the smallest and the largest numbers is its black and white.
        black, white = processing.apply_windowing(np.array([-1e30, 1e30]), dataset, index=0)
        values = processing.apply_windowing(values, dataset, index=0)
    else:
        if dataset.get("ModalityLUTSequence"):
            black, white = 0.0, float((1 << dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
        else:
            black, white = sorted(map(float, processing.apply_modality_lut(ends, dataset)))
        if black < 0:
            if inverse:
                raise DecodeError(f"{kind} without a window; export it as PNG")
            return Samples(values.astype(np.float32), missing=_padding(dataset, stored))
    shown = np.clip((values.astype(np.float64) - black) / (white - black), 0, 1)
    shown = np.rint((1 - shown if inverse else shown) * _WHITE).astype(np.uint16)
    return Samples(shown, white=_WHITE, missing=_padding(dataset, stored))


def _colours(dataset: Any, values: npt.NDArray[Any]) -> Samples:
    palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    white = float(np.iinfo(values.dtype).max if palette else (1 << int(dataset.BitsStored)) - 1)
    return Samples(values, white=white)


def _padding(dataset: Any, stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Where there is no measurement, only a background that fills the frame."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    first, last = sorted((value, limit if isinstance(limit, int) else value))
    return (stored >= first) & (stored <= last)


def _dataset(data: bytes, *, pixels: bool) -> Any:
    package, config = _pydicom("filereader"), _pydicom("config")
    config.settings.reading_validation_mode = config.IGNORE
    return package.dcmread(io.BytesIO(data), stop_before_pixels=not pixels, specific_tags=_TAGS)


def _size(dataset: Any) -> tuple[int, int]:
    if dataset.get("Columns") is None or dataset.get("Rows") is None:
        raise DecodeError(f"a DICOM file without an image (modality {dataset.get('Modality') or 'unknown'})")
    return size_shown(int(dataset.Columns), int(dataset.Rows), 1)


def _check_decoder(dataset: Any) -> None:
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if "PixelData" not in dataset or syntax is None:
        raise DecodeError("a DICOM file without pixels, or with pixels of an unknown kind; export it as PNG")
    try:
        available = _pydicom("pixels").get_decoder(syntax).is_available
    except NotImplementedError:
        raise DecodeError(f"a DICOM image compressed as {syntax.name}; export it uncompressed or as PNG") from None
    if not available:
        packages = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        raise DecodeError(f"a DICOM image compressed as {syntax.name}, which needs other packages: {packages}")


def _pydicom(module: str) -> Any:
    return extra_package(f"pydicom.{module}", "a DICOM image", lambda: install_command("medical"))
