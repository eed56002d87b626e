"""Which members of a tar make one sample: decided by the names in the whole tar, so that no two images share a key."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from clipc.catalog.rows import IMAGE_SUFFIXES, NAMES
from clipc.catalog.sources.members import Damage, Member
from clipc.catalog.sources.sidecars import texts_beside, texts_in_parallel
from clipc.catalog.sources.template import plain_name
from clipc.catalog.sources.texts import is_annotation

IMAGES = frozenset(suffix[1:] for suffix in IMAGE_SUFFIXES)
"""Endings of images, in lower case."""

TEXTS = frozenset(("caption", "txt", "json", "cls"))
"""Endings of members whose content is kept, in lower case."""

_READ = IMAGES | TEXTS
_KINDS = {"txt": (".caption", ".txt"), "json": (".json",), "cls": (".cls",)}
_CAPTION_WORDS = {word: rank for rank, word in enumerate(NAMES["columns"]["caption"])}
_LABEL_WORDS = {"cls", *NAMES["columns"]["label"]}
_RECORD_WORDS = {"json", "meta", "metadata", *_CAPTION_WORDS}
_IMAGE_WORDS = {*NAMES["columns"]["image"], *NAMES["folders"]["images"]}

Part = Member | bytes | Damage
"""A part of a sample: of a text the content, of an image the place in the tar."""

Sample = dict[str, Part]
"""The parts of one sample by ending."""


class TarSamples:
    """Collects the members of one tar and joins them to samples.

    An image and its texts share their name up to the last dot. A text that shares it with no image belongs to the image

    - that it adds an ending to: ``0001.jpg.txt``;
    - that it adds a word for captions or labels to: ``0001.caption.txt``, ``0001.cls.txt``. Where no image in the tar
      has a text otherwise, the end that all their names have is left out first: ``0001.image.jpg``;
    - that has the same name in a parallel folder: ``images/0001.jpg``, ``captions/0001.txt``.

    Attributes:
        passed_over: How many members are part of no sample, by ending.
        members: How many members were added.
        replaced: How many members have the name of a later one, which is taken, as when the tar is unpacked.
        joined: An example of a text that has another name than its image, or is in another folder; empty if none.
    """

    def __init__(self) -> None:
        self.passed_over: Counter[str] = Counter()
        self.members = self.replaced = 0
        self.joined = ""
        self._capitals: dict[str, str] = {}  # endings with capitals
        self._groups: dict[str, Sample] = {}
        self._again: dict[str, list[Sample]] = {}
        self._refused: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def add(self, stem: str, ending: str, part: Part) -> None:
        """Adds a member.

        Args:
            stem: Its name up to the last dot.
            ending: Its ending.
            part: Its content or place.
        """
        self.members += 1
        written, ending = ending, ending.lower()
        group = self._again[stem][-1] if stem in self._again else self._groups.setdefault(stem, {})
        if ending not in group:
            group[ending] = part
            if written != ending:
                self._capitals[f"{stem}.{ending}"] = written
        elif self._capitals.get(f"{stem}.{ending}", ending) == written:
            self.replaced += 1
            group[ending] = part
        else:  # 1.JPG and 1.jpg become two samples with one key, of which the second is refused
            self._again.setdefault(stem, []).append({ending: part})

    def samples(self) -> Iterator[tuple[str, Sample | str]]:
        """The key of each sample, and its parts, or why it is refused."""
        apart: set[str] = set()
        for stem, group in [each for each in self._groups.items() if len(IMAGES & each[1].keys()) > 1]:
            # Several images of one name are a sample each, which keeps the ending in its key.
            for ending in sorted(IMAGES & group.keys()):
                self._groups.setdefault(f"{stem}.{ending}", {})[ending] = group.pop(ending)
                apart.add(f"{stem}.{ending}")
        if any(map(IMAGES.isdisjoint, self._groups.values())):
            self._find_images(apart)
        for stem, group in self._groups.items():
            if stem in self._refused:
                yield stem, self._refused[stem]
            elif self._is_sample(stem, group):
                yield self._keys.get(stem, stem), group
        for stem, again in self._again.items():
            yield from ((stem, sample) for sample in again)

    def _is_sample(self, stem: str, group: Sample) -> bool:
        """Whether a group is a sample, to be read or refused; what is not read of it is counted."""
        if unread := [ending for ending in group if ending not in _READ]:
            self.passed_over.update(unread)
            if len(unread) == len(group):
                return False
        if "caption" in group and "txt" in group:
            self.passed_over["txt"] += 1
        if IMAGES.isdisjoint(group) or TEXTS.isdisjoint(group):
            head, _, word = stem.rpartition(".")
            if not group or (not word.isdecimal() and not IMAGES.isdisjoint(self._groups.get(head, ()))):
                # More of a sample that has its image and its texts (0001.mask.png, 0001.ja.txt), not 22.05 beside 22.
                self.passed_over.update(f"{word}.{ending}" for ending in group if ending in _READ)
                return False
        return True

    def _find_images(self, apart: set[str]) -> None:
        """Moves the texts of groups without an image to those of the images that they belong to.

        Args:
            apart: The groups of images of which several have one name; their names hold the image's ending.
        """
        images: dict[str, str] = {}  # the group of each image
        lone: list[str] = []
        for stem, group in self._groups.items():
            if not (endings := IMAGES & group.keys()):
                lone += [f"{stem}.{ending}" for ending in group if ending in TEXTS]
            images.update((stem if stem in apart else f"{stem}.{ending}", stem) for ending in endings)
        for kind, suffixes in _KINDS.items():
            texts = [text for text in lone if text.endswith(suffixes)]
            lacking = [image for image, stem in images.items() if self._lacks(kind, stem)] if texts else []
            self._join(texts_beside(lacking, texts, suffixes), kind, images)
        lone = [text for text in lone if self._has(text)]
        if lone:
            self._join_by_words(lone, images)
        for kind, suffixes in _KINDS.items():
            texts = [text for text in lone if text.endswith(suffixes) and self._has(text)]
            lacking = [image for image, stem in images.items() if self._lacks(kind, stem)] if texts else []
            self._join(texts_in_parallel(lacking, texts, self._are_boxes)[0], kind, images)

    def _lacks(self, kind: str, stem: str) -> bool:
        """Whether a group is without a text of a kind."""
        return kind not in self._groups[stem] and not (kind == "txt" and "caption" in self._groups[stem])

    def _has(self, text: str) -> bool:
        """Whether a text is in its own group still."""
        stem, _, ending = text.rpartition(".")
        return ending in self._groups[stem]

    def _join(self, text_of: Mapping[str, str], kind: str, images: Mapping[str, str]) -> None:
        """Moves texts to their images; images that share one are refused."""
        uses = Counter(text_of.values())
        for image, text in text_of.items():
            stem, _, ending = text.rpartition(".")
            part = self._groups[stem].pop(ending, None)
            if uses[text] > 1:
                reason = f"{uses[text]} images share its text {text}; name the text of this one {image}.{ending}"
                self._refused[images[image]] = reason
            elif part is not None:
                self._groups[images[image]][kind] = part
                self.joined = self.joined or f"{text} belongs to {image}"

    def _join_by_words(self, texts: Sequence[str], images: Mapping[str, str]) -> None:
        """Joins texts whose names add a word to an image's."""
        bases = {stem: image for image, stem in images.items()}
        is_cut = all(TEXTS.isdisjoint(self._groups[stem]) for stem in bases)
        if is_cut:
            bases = _without_common_end(bases)
        found: dict[str, dict[str, tuple[int, str]]] = {kind: {} for kind in _KINDS}
        for text in texts:
            stem, _, ending = text.rpartition(".")
            head, _, word = stem.rpartition(".")
            kind, rank = _kind_and_rank(plain_name(word), ending)
            image = bases.get(head)
            if is_cut and image is None:
                image, kind, rank = bases.get(stem), "txt" if ending == "caption" else ending, -1
            if image is not None and kind and self._lacks(kind, images[image]):
                found[kind][image] = min(found[kind].get(image, (rank, text)), (rank, text))
        if is_cut and any(found.values()):
            self._keys = {images[image]: base for base, image in bases.items()}
        for kind, text_of in found.items():
            self._join({image: text for image, (_, text) in text_of.items()}, kind, images)

    def _are_boxes(self, texts: Sequence[str]) -> bool:
        """Whether texts that could be captions hold numbers, as boxes do."""
        texts = [text for text in texts if text.endswith(_KINDS["txt"])]
        parts = [self._groups[stem][ending] for stem, _, ending in (text.rpartition(".") for text in texts)]
        contents = [part.decode("utf-8", "replace") for part in parts if isinstance(part, bytes) and part.strip()]
        return bool(contents) and all(map(is_annotation, contents))


def _kind_and_rank(word: str, ending: str) -> tuple[str | None, int]:
    """What a text is whose name adds a word to its image's, and how much the word is preferred to others."""
    if ending == "json":
        return ("json" if word in _RECORD_WORDS else None), 0
    if word in _CAPTION_WORDS:
        return "txt", _CAPTION_WORDS[word]
    return ("cls" if word in _LABEL_WORDS else None), 0


def _without_common_end(bases: Mapping[str, str]) -> dict[str, str]:
    """Names without the end, from a dot on, that all of them have, or all that end with a word for images."""
    for names in (list(bases), [name for name in bases if plain_name(name.rpartition(".")[2]) in _IMAGE_WORDS]):
        if not names:
            continue
        parts = names[0].rpartition("/")[2].split(".")
        for at in range(1, len(parts)):
            end = "." + ".".join(parts[at:])
            if any(map(str.isalpha, end)) and all(name.endswith(end) for name in names):
                short = {name.removesuffix(end): bases[name] for name in names}
                return short if short.keys().isdisjoint(bases) else dict(bases)
    return dict(bases)
