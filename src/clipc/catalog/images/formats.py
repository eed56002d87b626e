"""What bytes are that clipc does not read as an image, by their first bytes."""

_IMAGES = "a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC or DICOM image"
_EXPORT = "export it as PNG or JPEG"
_DAMAGED = "an image whose header is damaged"
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG", _DAMAGED),
    (0, b"RIFF", _DAMAGED),
    (0, b"GIF8", _DAMAGED),
    (4, b"ftypavif", _DAMAGED),
    (4, b"ftyphei", _DAMAGED),
    (0, b"8BPS", f"a Photoshop document; {_EXPORT}"),
    (0, b"\0\0\0\x0cjP  ", f"a JPEG 2000 image; {_EXPORT}"),
    (0, b"\xff\x4f\xff\x51", f"a JPEG 2000 image; {_EXPORT}"),
    (0, b"\0\0\0\x0cJXL ", f"a JPEG XL image; {_EXPORT}"),
    (0, b"\xff\x0a", f"a JPEG XL image; {_EXPORT}"),
    (0, b"%PDF", f"a PDF document; {_EXPORT}"),
    (0, b"%!PS", f"a PostScript document; {_EXPORT}"),
    (0, b"\xc5\xd0\xd3\xc6", f"a PostScript document; {_EXPORT}"),
    (0, b"\x76\x2f\x31\x01", f"an OpenEXR image; {_EXPORT}"),
    (0, b"#?RADIANCE", f"a Radiance HDR image; {_EXPORT}"),
    (0, b"SIMPLE  =", f"a FITS image; {_EXPORT}"),
    (0, b"\x89HDF", f"an HDF5 file; {_EXPORT}"),
    (0, b"\x93NUMPY", f"a NumPy array; {_EXPORT}"),
    (0, b"FORM", f"an IFF image or a DjVu document; {_EXPORT}"),
    (0, b"PK\x03\x04", "a zip archive (or an office document); unpack it"),
    (0, b"\x1f\x8b", "compressed by gzip; unpack it"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the image; fetch it: git lfs pull"),
    (0, b"\0\0\1\0", f"an icon; {_EXPORT}"),
    (0, b"P4\n", f"a Netpbm image; {_EXPORT}"),
    (0, b"P5\n", f"a Netpbm image; {_EXPORT}"),
    (0, b"P6\n", f"a Netpbm image; {_EXPORT}"),
    (4, b"ftypcrx", f"a camera's raw file; {_EXPORT}"),
    (4, b"ftyp", f"a video or an image sequence; {_EXPORT}"),
    (0, b"FUJIFILMCCD-RAW", f"a camera's raw file; {_EXPORT}"),
)
_TEXTS = ((b"<svg", f"an SVG drawing; {_EXPORT}"), (b"<html", "a web page, not the image; download it again"))


def is_known(data: bytes) -> bool:
    """Whether bytes are of a kind that :func:`what_it_is` has a name for."""
    return not what_it_is(data).startswith("not ")


def what_it_is(data: bytes) -> str:
    """What bytes are that no decoder knows, for a message that says what to do."""
    for at, mark, name in _MARKS:
        if data.startswith(mark, at):
            return name
    start = data[:512].lower()
    return next((name for mark, name in _TEXTS if mark in start), f"not {_IMAGES}")
