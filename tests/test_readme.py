"""What the documents tell readers to type is run, or at least understood, word for word.

Blocks of shell commands after ``<!-- run -->`` and all blocks of Python are run, on tiny data under the names
that the documents use. Of the other commands the options are checked. A document is one story: its blocks run in order,
in one folder.
"""

import copy
import json
import re
import shlex
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipc.cli import app, main
from clipc.demo import demo
from clipc.models import model_config
from clipc.models.model_config import Config

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200), "white": (240, 240, 240)}
JAPANESE = {"red": "赤い板", "green": "緑の板", "blue": "青い板", "white": "白い板"}
PAIRS = 60

BLOCK = re.compile(r"(<!-- run -->\n)?```(\w*)\n(.*?)```", re.DOTALL)
HERE_DOCUMENT = re.compile(r"^cat > (\S+) <<'(\w+)'\n(.*?)^\2$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)]+))?\)")


def blocks(document: str) -> list[tuple[str, bool, str]]:
    """The language, whether it is marked to be run, and the text of each fenced block."""
    text = (ROOT / document).read_text("utf-8")
    return [(language, bool(mark), body) for mark, language, body in BLOCK.findall(text)]


def commands(body: str) -> list[list[str]]:
    """The words of each command of a shell block."""
    joined = HERE_DOCUMENT.sub("", body).replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source of every kind, under the names that the documents use."""
    folder = tmp_path_factory.mktemp("documents")
    generator = np.random.Generator(np.random.Philox(0))
    (folder / "photos").mkdir()
    english = ["image,caption,colour"]
    japanese = ["画像,説明,不良種別,品番"]
    for i in range(PAIRS):
        name, colour = list(COLOURS.items())[i % 4]
        noise = generator.integers(-40, 40, size=(8, 8, 3))
        pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        file = folder / "photos" / f"{i:03d}.png"
        Image.fromarray(pixels).resize((32, 32)).save(file)
        english.append(f"photos/{i:03d}.png,a {name} plate with number {i},{name}")
        japanese.append(f"{i:03d}.png,{JAPANESE[name]}、番号{i},{JAPANESE[name]},P-{i // 2:03d}")
        for kind in ("notes", f"parts/{name}"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / kind)
        (folder / "notes" / f"{i:03d}.txt").write_text(f"a {name} plate, number {i}", "utf-8")
    (folder / "pairs.csv").write_text("\n".join(english), "utf-8")
    (folder / "部品.csv").write_text("\r\n".join(japanese), "cp932")
    (folder / "shards").mkdir()
    with tarfile.open(folder / "shards" / "train-00000.tar", "w") as tar:
        for file in sorted((folder / "notes").iterdir()):
            tar.add(file, file.name)
    return folder


@pytest.fixture
def here(prepared: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prepared folder as the working folder, with a small demo set, a smaller nano, and its own cache."""
    config = json.loads(Path(tiny_model).read_text("utf-8"))
    config["vision_cfg"] |= {"image_size": 64, "patch_size": 16}
    config["text_cfg"] |= {"context_length": 128}

    def smaller(name: str) -> tuple[Config, Config]:
        return (copy.deepcopy(config), {}) if name == "nano" else read_config(name)

    read_config = model_config._read_config  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(model_config, "_read_config", smaller)
    monkeypatch.chdir(prepared)
    monkeypatch.setenv("CLIPC_CACHE", str(prepared / "cache"))
    monkeypatch.setattr(demo, "COUNTS", {"train": 140, "val": 70, "test": 70})
    return prepared


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_marked_runs(document: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # tests/test_drop_in.py runs the other blocks of this document, and looks at what they made.
    own = blocks(document)[:1] if document == "docs/drop-in.md" else blocks(document)
    for language, marked, body in own:
        if language == "python":
            exec(compile(body, document, "exec"), {"__name__": "__main__"})
        elif marked:
            for name, _, text in HERE_DOCUMENT.findall(body):
                (here / name).write_text(text, "utf-8")
            for words in commands(body):
                assert words[0] == "clipc", f"{document}: only clipc's commands can be run: {words}"
                with pytest.raises(SystemExit) as ended:
                    main(words[1:])
                assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_understood(document: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for language, _, body in blocks(document):
        if language != "bash":
            continue
        for words in commands(body):
            if words[0] == "clipc":
                app.parse_args(words[1:], exit_on_error=False, print_error=False)
            elif words[0] == "make":
                assert set(words[1:]) <= targets, words
            else:
                assert words[0] in ("git", "pip", "uv"), f"{document}: {words}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_in_the_text_exist(document: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)`", (ROOT / document).read_text("utf-8")))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for target, anchor in LINK.findall((ROOT / document).read_text("utf-8")):
        if "://" in target:
            continue
        file = (ROOT / document).parent / target
        assert file.is_file(), f"{document} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{document} links to {target}#{anchor}"


@pytest.mark.parametrize("index", ["README.md", "README.ja.md"])
def test_the_index_has_every_document(index: str) -> None:
    """Each index links to the documents of its language, or to the English ones where there are no others."""
    names = {path.name for path in (ROOT / "docs").glob("*.md")}
    translated = {name for name in names if name.endswith(".ja.md")}
    originals = {name.replace(".ja.md", ".md") for name in translated}
    wanted = names - (originals if index in translated else translated) - {"README.md", "README.ja.md"}
    linked = {target for target, _ in LINK.findall((ROOT / "docs" / index).read_text("utf-8"))}
    assert wanted <= linked
    assert f"docs/{index}" in {target for target, _ in LINK.findall((ROOT / index).read_text("utf-8"))}


def test_readmes_tell_the_same_commands() -> None:
    """The Japanese read-me has as many blocks of each kind, so that neither falls behind."""
    english, japanese = (
        [(language, marked) for language, marked, _ in blocks(name)] for name in ("README.md", "README.ja.md")
    )
    assert english == japanese
