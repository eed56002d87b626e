"""JSON documents of known forms as records: COCO, Karpathy, Label Studio, LLaVA, FiftyOne, ``{file: captions}``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from clipc.catalog.rows import IMAGE_SUFFIXES, NAMES, SPLIT_NAMES
from clipc.catalog.sources.template import plain_name
from clipc.errors import UserError, first_names

FieldsOrFault = dict[str, Any] | str
"""The fields of a record, or what is wrong with it."""

_FORMS = (
    "a list of records, JSON lines, COCO captions, Karpathy's splits, {file: captions}, Label Studio's and pandas' "
    "exports"
)
_IMAGE_WORDS, _CAPTION_WORDS = set(NAMES["columns"]["image"]), set(NAMES["columns"]["caption"])
_SAMPLE = 100


def document_records(document: Any, name: str) -> tuple[str, Iterator[FieldsOrFault]]:
    """The form of a JSON document, for notes, and its records.

    Args:
        document: The document: a list of records, or an object of a known form.
        name: Its name for messages.

    Raises:
        UserError: It is an object of no known form, or one of a known form that has no captions.
    """
    form, records = ("", document) if isinstance(document, list) else _object_records(document, name)
    first = [record for record in records[:_SAMPLE] if isinstance(record, dict)]
    if not first:
        raise UserError(f"{name} holds no records; clipc reads {_FORMS}.")
    own_form, convert = record_form(dict.fromkeys(key for record in first for key in record), first)

    def flat(record: Any) -> FieldsOrFault:
        if isinstance(record, dict):
            return convert(record)
        return record if form and isinstance(record, str) else "is no object"

    return form or own_form, map(flat, records)


def record_form(
    names: Mapping[str, Any], sample: Sequence[Mapping[str, Any]]
) -> tuple[str, Callable[[dict[str, Any]], FieldsOrFault]]:
    """The form of records, and what makes flat ones of those of Label Studio, LLaVA, FiftyOne and Karpathy.

    Args:
        names: The keys that the records have.
        sample: The first records.
    """
    if "data" in names and ("annotations" in names or "completions" in names):
        return "Label Studio's export", _label_studio(sample)
    for turns in ("conversations", "messages"):
        if turns in names:
            return "conversations whose only answer is the caption", partial(_conversation, turns=turns)
    if "filepath" in names and "_media_type" in names:
        return "FiftyOne's samples", _fiftyone(sample)
    if "filename" in names and "sentences" in names:
        return "Karpathy's splits", _karpathy
    return "", lambda record: record


def _object_records(document: Any, name: str) -> tuple[str, list[Any]]:
    if not isinstance(document, dict) or not document:
        raise UserError(f"{name} holds no records; clipc reads {_FORMS}.")
    images, annotations = document.get("images"), document.get("annotations")
    if images and annotations and _is_records(images) and _is_records(annotations):
        if any(isinstance(note, dict) and "caption" in note for note in annotations):
            return "COCO captions", _coco(images, annotations)
        return "COCO boxes", _coco_boxes(images, annotations, document.get("categories"), name)
    columns, data = document.get("columns"), document.get("data")
    if isinstance(columns, list) and isinstance(data, list):  # pandas, orient="split"
        rows = [dict(zip(map(str, columns), row, strict=False)) if isinstance(row, list) else None for row in data]
        return "columns and rows", rows
    if all(plain_name(key) in SPLIT_NAMES and isinstance(value, dict) for key, value in document.items()):
        every = [{"split": key, **row} for key, files in document.items() for row in _by_file(files)]
        if every:
            return "captions by file name for each split", every
    if all(plain_name(key) in SPLIT_NAMES and _is_names(value) for key, value in document.items()):
        raise UserError(
            f"{name} lists the images of splits and no captions; write each list as a text beside the data, one image "
            "a line (train.txt, test.txt), and take the file away."
        )
    lists = [key for key, value in document.items() if _is_records(value)]
    has_image = any(plain_name(key).removesuffix("s") in _IMAGE_WORDS for key in document if key not in lists) or any(
        isinstance(value, str) and value.lower().endswith(IMAGE_SUFFIXES) for value in document.values()
    )
    if lists and all(plain_name(key) in SPLIT_NAMES for key in lists):
        every = [{"split": key, **row} if isinstance(row, dict) else None for key in lists for row in document[key]]
        return "a list for each split", every
    if len(lists) == 1 and not has_image:
        return "", document[lists[0]]
    if has_image or any(plain_name(key) in _CAPTION_WORDS for key in document):
        return "", _columns(document) or [document]
    if records := _by_file(document):
        return "captions by file name", records
    keys = first_names(document)
    raise UserError(f"{name} is one JSON object of no known form, with the keys {keys}; clipc reads {_FORMS}.")


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _columns(document: dict[str, Any]) -> list[Any]:
    """The rows of pandas' ``orient="list"`` (lists of one length) or ``orient="columns"`` (objects by row name)."""
    document = {"image" if plain_name(key) == "images" else key: value for key, value in document.items()}
    values = list(document.values())
    if all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    if all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return [{name: document[name][row] for name in document} for row in values[0]]
    return []


def _by_file(document: dict[str, Any]) -> list[Any]:
    """The records of ``{file: caption}``, ``{file: [captions]}`` and ``{file: {"caption": ..., ...}}``."""
    files = sum(key.lower().endswith(IMAGE_SUFFIXES) for key in document)
    is_captions = all(_is_captions(value) for value in document.values())
    if 2 * files <= len(document) and not is_captions:
        return []
    records: list[Any] = []
    for file, value in document.items():
        fields = {plain_name(key) for key in value} if isinstance(value, dict) else set[str]()
        if fields & (_CAPTION_WORDS | _IMAGE_WORDS):
            records.append({**({} if fields & _IMAGE_WORDS else {"image": file}), **value})
        else:
            records.append({"image": file, "captions": value})
    return records


def _is_captions(value: Any) -> bool:
    if isinstance(value, dict):
        return any(plain_name(key) in _CAPTION_WORDS for key in value)
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _coco_boxes(images: list[Any], annotations: list[Any], categories: Any, name: str) -> list[Any]:
    """One record an image: as ``label`` the category that covers most of it, as ``box`` x0,y0,x1,y1 around that one."""
    names = {str(each.get("id")): str(each.get("name")) for each in categories or () if isinstance(each, dict)}
    boxes: dict[str, dict[str, list[list[float]]]] = {}
    for note in annotations:
        if isinstance(note, dict) and str(note.get("category_id")) in names and (box := _box(note.get("bbox"))):
            own = boxes.setdefault(str(note.get("image_id")), {})
            own.setdefault(names[str(note.get("category_id"))], []).append(box)
    if not boxes:
        raise UserError(
            f"{name} holds COCO annotations with neither captions nor boxes of named categories; name the file "
            "captions_*.json of the set."
        )

    def label_and_box(own: Mapping[str, list[list[float]]]) -> dict[str, Any]:
        if not own:
            return {"label": None, "box": None}
        label = max(own, key=lambda each: sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in own[each]))
        x0, y0, x1, y1 = zip(*own[label], strict=True)
        return {"label": label, "box": f"{min(x0):g},{min(y0):g},{max(x1):g},{max(y1):g}"}

    return [
        {**image, **label_and_box(boxes.get(str(image.get("id")), {}))} if isinstance(image, dict) else "is no object"
        for image in images
    ]


def _box(box: Any) -> list[float] | None:
    """COCO's x, y, width and height as x0, y0, x1, y1; None where it is no box."""
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, int | float) for value in box):
        return None
    x, y, width, height = map(float, box)
    return [x, y, x + width, y + height] if width > 0 and height > 0 else None


def _coco(images: list[Any], annotations: list[Any]) -> list[Any]:
    """One record an image, with the captions of its annotations."""
    captions: dict[str, list[Any]] = {}
    for note in annotations:
        if isinstance(note, dict):
            captions.setdefault(str(note.get("image_id")), []).append(note.get("caption"))
    ids: dict[str, dict[str, None]] = {}
    for image in images:
        if isinstance(image, dict):
            ids.setdefault(str(image.get("file_name")), {})[str(image.get("id"))] = None
    records: list[Any] = []
    for image in images:
        if not isinstance(image, dict):
            records.append("is no object")
            continue
        own = {**image, "captions": captions.pop(str(image.get("id")), None)}
        same = ids[str(image.get("file_name"))]
        records.append(own if len(same) == 1 else _several_images(image.get("file_name"), list(same)))
    return records + [f"annotations name the image {image}, which is not among the images" for image in captions]


def _several_images(name: Any, ids: list[str]) -> str:
    return (
        f"images of different ids ({first_names(ids)}) have the file_name {name}: only one of them can be that file, "
        "so write their folders into the file_name"
    )


def _karpathy(record: dict[str, Any]) -> FieldsOrFault:
    folder, file = str(record.get("filepath") or ""), str(record.get("filename") or "")
    path = f"{folder}/{file}" if folder and not folder.endswith(file) else folder or file
    return {**{key: value for key, value in record.items() if key != "filepath"}, "filename": path}


def _fiftyone(sample: Sequence[Mapping[str, Any]]) -> Callable[[dict[str, Any]], FieldsOrFault]:
    """A sample with the labels of its classifications: the only one beside captions is the label, a tag the split."""
    fields = {name for record in sample for name, value in record.items() if _is_classification(value)}
    labels = [name for name in fields if plain_name(name) not in _CAPTION_WORDS]

    def flat(record: dict[str, Any]) -> FieldsOrFault:
        values = {name: value["label"] if _is_classification(value) else value for name, value in record.items()}
        if isinstance(number := values.pop("_id", None), dict):
            values["id"] = number.get("$oid")
        if len(labels) == 1:
            values["label"] = values.pop(labels[0], None)
        tags = record.get("tags")
        splits = [tag for tag in tags if str(tag).lower() in SPLIT_NAMES] if isinstance(tags, list) else []
        return values | ({"split": splits[0]} if len(splits) == 1 else {})

    return flat


def _is_classification(value: Any) -> bool:
    return isinstance(value, dict) and value.get("_cls") == "Classification" and "label" in value


def _conversation(record: dict[str, Any], turns: str) -> FieldsOrFault:
    """A record with the one answer of its conversation as its caption."""
    answers = [
        turn.get("value", turn.get("content"))
        for turn in record.get(turns) or []
        if isinstance(turn, dict) and turn.get("from", turn.get("role")) in ("gpt", "assistant", "model")
    ]
    if len(answers) > 1:
        return f"it is a conversation with {len(answers)} answers, which are no captions"
    images = record.get("images")
    image = {"image": images} if "image" not in record and images is not None else {}
    left_out = (turns, "images") if image else (turns,)
    return {**image, **{key: value for key, value in record.items() if key not in left_out}, "caption": answers}


def _label_studio(sample: Sequence[Mapping[str, Any]]) -> Callable[[dict[str, Any]], FieldsOrFault]:
    """A task's data with what was typed and chosen: the only text field is the caption, the only choice the label."""
    fields = [field for record in sample for field in _results(record)]
    names = {kind: {name for name, of_kind, _ in fields if of_kind == kind} for kind in ("text", "choices")}
    rename = {
        next(iter(of_kind)): to
        for of_kind, to in zip(names.values(), ("caption", "label"), strict=True)
        if len(of_kind) == 1
    }

    def flat(record: dict[str, Any]) -> FieldsOrFault:
        data = record.get("data")
        if not isinstance(data, dict):
            return "the task has no data"
        more: dict[str, list[Any]] = {}
        for name, _, values in _results(record):
            more.setdefault(rename.get(name, name), []).extend(values)
        return {"id": record.get("id"), **data, **more}

    return flat


def _results(task: Mapping[str, Any]) -> Iterator[tuple[str, str, list[Any]]]:
    """Of the annotations of a Label Studio task that were not cancelled: field, ``text`` or ``choices``, values."""
    for annotation in task.get("annotations") or task.get("completions") or []:
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result") or []:
            value = result.get("value") if isinstance(result, dict) else None
            for kind in ("text", "choices"):
                if isinstance(value, dict) and kind in value:
                    values = value[kind] if isinstance(value[kind], list) else [value[kind]]
                    yield str(result.get("from_name")), kind, values
