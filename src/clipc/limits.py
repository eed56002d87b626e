"""How much of what others made is taken: what is larger is refused before any work, as a reject or one sentence.

Each limit is far above what people bring, and keeps one command below 1.5 GB of memory and 10 seconds for a single
hostile row or file.
"""

from typing import Final

PIXELS: Final = 64_000_000
"""The largest image that is decoded whole: 192 MB as RGB, a few times that on the way. JPEGs are decoded at a half, a
quarter or an eighth of their size beyond it."""
REDUCED_PIXELS: Final = 400_000_000
"""The largest JPEG that is decoded at reduced size: its entropy coding is read whole, about 100 million a second."""
SIDE: Final = 65_535
"""The longest side of an image, that of JPEG: a strip of a million pixels is resized to millions of lines."""
SCANS: Final = 100
"""The scans of a JPEG; encoders write about ten, and each goes over the whole image."""
SCANNED_PIXELS: Final = 1_000_000_000
"""Pixels times scans of a JPEG: what ten seconds decode."""
IMAGE_BYTES: Final = 1 << 29
"""The largest encoded image."""
IMAGE_HEADER: Final = 1 << 24
"""The bytes before a JPEG's first scan: colour profiles, of at most 255 segments of 64 KiB, fit in."""
CAPTION: Final = 10_000
"""Characters of a caption: a text tower reads some hundred, and CLIP's tokens of one endless word take quadratic time.
"""
CAPTIONS: Final = 1_000
"""Captions of a pair; published sets have five."""
NAME: Final = 1_000
"""Characters of a key, a label or a path."""
CELL: Final = 1 << 17
"""Characters of a text in a cell or under a key (128 KiB)."""
TEXT_BYTES: Final = 1 << 20
"""Bytes of a text or JSON file beside an image, and of a line of a table."""
COLUMNS: Final = 1_000
"""Columns of a table, and keys of the objects in it."""
DOCUMENT_BYTES: Final = 1 << 28
"""Bytes of a JSON document that is read whole, such as the annotations of a set: five to ten times that as objects."""
DOCUMENT_PARTS: Final = 10_000_000
"""Brackets and commas of such a document: each value takes up to 200 bytes."""
BATCH_BYTES: Final = 1 << 27
"""Bytes of the values of a batch of rows that Parquet decodes at once."""
UNPACKED_BYTES: Final = 1 << 29
"""Bytes of a column of a Parquet row group beyond which it may not be :data:`UNPACKED_TIMES` its packed size."""
UNPACKED_TIMES: Final = 100
"""How many times its packed size a large column may be: text and images reach ten to twenty, a bomb a thousand."""
OWN_BYTES: Final = 1 << 26
"""Bytes of a JSON file of a run, a record or a model."""
YAML_BYTES: Final = 1 << 18
"""Bytes of a YAML file: recipes, studies, rules and lists of words have some thousand."""
YAML_DEPTH: Final = 20
"""How deep the values of a YAML file are nested; recipes need four."""
YAML_VALUES: Final = 50_000
"""Values of a YAML file, each alias counted as what it stands for."""
TRIALS: Final = 10_000
"""Trials of a study, and arms that its lists make: at a minute each a week."""
MODEL_SIDE: Final = 4096
"""The side of a model's images in pixels; published models end at 1,024."""
PATCHES: Final = 1 << 16
"""The patches of an image, of which attention compares each with each."""
PARAMETERS: Final = 20_000_000_000
"""The parameters of a model: 80 GB of weights."""
