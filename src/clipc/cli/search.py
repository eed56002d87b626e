"""``clipc search``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFile,
    SourceParameters,
    open_images,
    print_result,
    write_pages,
)
from clipc.errors import UserError
from clipc.progress import terminal
from clipc.translation import terminal_language


def search(
    model: str,
    source: str,
    query: str | None = None,
    /,
    *,
    image: Path | None = None,
    count: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 12,
    options: SourceParameters = DEFAULT_OPTIONS,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Finds the images of a source that match a sentence, or that are most similar to an image.

    The first search of a source encodes its images; later ones encode only those that are new.

    Args:
        model: A run, a pilot (its best arm), a model folder, hf-hub:OWNER/NAME, or MODEL:WEIGHTS of open_clip.
        source: The images, as for pilot.
        query: The sentence.
        image: Search by this image file instead.
        count: The number of images.
        options: How the source is read.
        out: An HTML page with the images, written in English and Japanese.
        as_json: Print the result as one JSON object.
    """
    if (query is None) == (image is None):
        raise UserError('give a sentence, such as clipc search runs/mine pairs.csv "a scratch", or --image FILE.')
    from clipc.inference.image_index import ImageIndex
    from clipc.inference.search import ImageSearch
    from clipc.inference.tables import read_image_file, search_tables, with_images
    from clipc.inference.used_model import UsedModel
    from clipc.report.sections.use import hit_basis, search_sentences
    from clipc.report.use import render_use
    from clipc.report.words import words

    pixels = None if image is None else read_image_file(image)
    used = UsedModel.open(model)
    with terminal() as progress:
        catalog = open_images(source, options, used, progress)
        index = ImageIndex.of(used, catalog, cache=options.cache, progress=progress)
        searching = ImageSearch(index, options.cache, progress)
        hits = searching.for_text(query or "", count) if pixels is None else searching.for_image(pixels, count)
        tables = search_tables(index, query or (image.name if image else ""), hits, image_query=pixels is not None)
        say = words(terminal_language())
        weak = f"{say('use.search.weak')}  "
        lines = [
            f"{hit['rank']:4d}  {hit['key']}  {weak if hit['weak'] else ''}{hit_basis(hit, say)}  "
            f"{hit['captions'][0] if hit['captions'] else ''}"
            for hit in tables["hits"]
        ]
        lines = [*search_sentences(tables, say), *lines]
        if out is not None:
            shown = {**tables, "hits": with_images(tables["hits"], catalog, progress)}
            lines.append(f"The page: {write_pages(out, shown, render_use, options.lang)}")
    print_result(tables, as_json, lines)
