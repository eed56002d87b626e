"""``clipc serve``."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.classify import read_classes
from clipc.cli.common import DEFAULT_OPTIONS, SourceParameters, open_images, print_catalog
from clipc.errors import UserError
from clipc.progress import terminal
from clipc.translation import translate


def serve(
    model: str,
    source: str | None = None,
    /,
    *,
    classes: str | None = None,
    accuracy: Annotated[float, Parameter(validator=Number(gt=0, lt=1))] = 0.95,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8765,
    options: SourceParameters = DEFAULT_OPTIONS,
) -> None:
    """Serves a model as a local page and a JSON API: search by sentence or image, and classification.

    Only this machine can reach it. With --host it can be reached from others too, by those who have the address with
    its token; traffic is not encrypted.

    Args:
        model: A run, a pilot (its best arm), a model folder, hf-hub:OWNER/NAME, or MODEL:WEIGHTS of open_clip.
        source: The images, as for pilot; by default the data that the run was trained on.
        classes: The classes, separated by commas, or a text file with one a line; by default those of the label column.
        accuracy: The share of answers that shall be right; below, the page says that it is not sure.
        host: The address to listen on, such as 0.0.0.0 for all.
        port: The port; 0 takes any that is free.
        options: How the source is read.
    """
    from clipc.web import Access, address, listen, run_server

    access = Access.of_host(host)
    with listen(host, port) as listener:  # Before long work: the extra or the port may be missing.
        from clipc.inference.classify import ClassifierOptions, make_classifier, training_validation
        from clipc.inference.image_index import ImageIndex
        from clipc.inference.search import ImageSearch
        from clipc.inference.serve import Service
        from clipc.inference.used_model import UsedModel

        used = UsedModel.open(model)
        with terminal() as progress:
            if source is None:
                catalog = used.training_data(progress)
                if catalog is None:
                    raise UserError(f"the data of {model} are not known, or not here; name the source after it.")
                print_catalog(catalog)
            else:
                catalog = open_images(source, options, used, progress)
            index = ImageIndex.of(used, catalog, cache=options.cache, progress=progress)
            search = ImageSearch(index, options.cache, progress)
            names = read_classes(classes)
            wanted = ClassifierOptions(classes=names, accuracy=accuracy)
            has_classes = bool(names or catalog.about.label_columns)
            more = training_validation(index, options.cache, progress) if has_classes else None
            classifier = make_classifier(index, wanted, more, progress) if has_classes else None
            _ = search.own_scores  # Computed now, so that the first query does not wait for it.
        print(f"{address(listener, access)}  ({translate('stop with Ctrl-C')})", flush=True)
        run_server(Service(search, classifier).app(access), listener)
