"""Damage in what clipc wrote itself: checkpoints, files of runs and models, cached catalogs, records."""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .images import encoded
from .oracle import Generator, Rng
from .tables import ODD_VALUES, mutated

_CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
_PARTS = ("model.safetensors", "optimizer.pt", "progress.json", "checksums.json")


def make_bases(folder: Path) -> None:
    """Writes what cases damage copies of: a run with two checkpoints, what it becomes, another run, and a model."""
    from clipc.recipe.recipe import make_recipe, write_recipe
    from clipc.train.interrupt import Interrupted
    from clipc.train.loop import Trainer
    from clipc.train.train import train

    rows: list[dict[str, Any]] = []
    for number in range(24):
        (folder / f"{number}.png").write_bytes(encoded("PNG", number))
        split = "train" if number < 16 else "val" if number < 20 else "test"
        rows.append({"image": f"{number}.png", "caption": f"a red plate {number}", "split": split})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "tiny.json").write_text(json.dumps(_CONFIG))
    for name, seed in (("half", 0), ("other", 1)):
        recipe = make_recipe({
            "data": {"source": str(folder / "pairs.jsonl")}, "model": str(folder / "tiny.json"), "batch_size": 8,
            "epochs": 3,
            "threads": 1, "precision": "fp32", "device": "cpu", "validations": 2, "checkpoint_seconds": 1e-6,
            "seed": seed,
            "track": [],
        })  # fmt: skip
        write_recipe(recipe, folder / f"{name}.yaml")
        finish = Trainer._finish

        def interrupted(*_: object) -> None:
            raise Interrupted("here")

        Trainer._finish = interrupted  # type: ignore[method-assign]
        with suppress(Interrupted):
            train(recipe, folder / name)
        Trainer._finish = finish  # type: ignore[method-assign]
        if seed == 0:
            shutil.copytree(folder / name, folder / "whole")
            train(recipe, folder / "whole")


def _flip(file: Path, rng: Rng) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(int(rng.choice([1, 1, 1, 30]))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    if rng.integers(6) == 0:
        del data[int(rng.integers(len(data))) :]
    file.write_bytes(bytes(data))


def _mutate(file: Path, rng: Rng) -> None:
    value = json.loads(file.read_text())
    for _ in range(int(rng.integers(1, 4))):
        value = mutated(value, rng)
    file.write_text(json.dumps(value))


def own_kinds(bases: Path) -> list[Generator]:
    """The generators, which damage copies of what :func:`make_bases` wrote."""

    def copy(name: str, root: Path) -> Path:
        return Path(shutil.copytree(bases / name, root / "run"))

    def newest(run: Path) -> Path:
        return max((run / "checkpoints").iterdir(), key=lambda each: int(each.name.removeprefix("step-")))

    def resume(run: Path) -> Sequence[str]:
        return ["resume", str(bases / "half.yaml"), str(run), str(bases / "whole" / "model")]

    def checkpoint_bits(rng: Rng, root: Path) -> Sequence[str]:
        """Flipped bits in a part of the newest checkpoint, or of both."""
        run = copy("half", root)
        places = [newest(run)] if rng.integers(4) else list((run / "checkpoints").iterdir())
        for place in places:
            _flip(place / _PARTS[int(rng.integers(4))], rng)
        return resume(run)

    def checkpoint_moment(rng: Rng, root: Path) -> Sequence[str]:
        """A checkpoint of another step, run, precision or model, or with a part of one, or with a part gone."""
        from safetensors.torch import load_file, save_file

        from clipc.checksums import write_checksums

        run = copy("half", root)
        last = newest(run)
        first = next(each for each in (run / "checkpoints").iterdir() if each != last)
        part = _PARTS[int(rng.integers(4))]
        match int(rng.integers(7)):
            case 0:
                shutil.copy(first / part, last / part)
            case 1:
                last.rename(last.with_name("step-99"))
            case 2:
                shutil.rmtree(last)
                shutil.copytree(newest(bases / "other"), last)
            case 3:
                shutil.copy(newest(bases / "other") / part, last / part)
            case 4:
                weights = load_file(last / "model.safetensors")
                save_file({name: tensor.half() for name, tensor in weights.items()}, last / "model.safetensors")
                write_checksums(last)
            case 5:
                (last / part).unlink()
            case _:
                weights = load_file(last / "model.safetensors")
                save_file(dict(list(weights.items())[: int(rng.integers(9))]), last / "model.safetensors")
                write_checksums(last)
        return resume(run)

    def progress(rng: Rng, root: Path) -> Sequence[str]:
        """Odd values in progress.json, with checksums that fit."""
        from clipc.checksums import write_checksums

        run = copy("half", root)
        _mutate(newest(run) / "progress.json", rng)
        write_checksums(newest(run))
        return resume(run)

    def run_files(rng: Rng, root: Path) -> Sequence[str]:
        """Odd values, damage and garbage in the files of a run that resumes."""
        run = copy("half", root)
        file = run / str(rng.choice(["environment.json", "metrics.jsonl", "data.json", "plan-statistics.json"]))
        if file.suffix == ".jsonl":
            lines = file.read_text().splitlines()
            at = int(rng.integers(len(lines)))
            odd = [json.dumps(mutated(json.loads(lines[at]), rng)), "[" * 5000, "\x1b[31m", "9" * 5000, lines[at][:9]]
            lines[at] = odd[int(rng.integers(len(odd)))]
            file.write_text("\n".join(lines) + "\n", "utf-8", "surrogatepass")
        elif rng.integers(2):
            _mutate(file, rng)
        else:
            file.write_bytes(
                [b"", b"[" * 99_999, b"\xff" * 99, b"{" + b'"a":{' * 9999, bytes(70 << 20)][int(rng.integers(5))]
            )
        return resume(run)

    def finished_files(rng: Rng, root: Path) -> Sequence[str]:
        """Odd values in the files of a finished run, which a model card is made of."""
        run = copy("whole", root)
        names = [
            "finished.json",
            "environment.json",
            "data.json",
            "plan-statistics.json",
            "eval/test.json",
            "audit/bias.json",
        ]
        file = run / str(rng.choice(names))
        file.parent.mkdir(exist_ok=True)
        if not file.is_file():
            file.write_text(json.dumps({"metrics": {"a": 1.0}, "descriptions": {}, "summary": ["x"]}))
        _mutate(file, rng)
        if rng.integers(2):
            return ["train", str(bases / "half.yaml"), "--out", str(run)]
        return ["export", str(run), "--out", str(root / "export")]

    def recipe_file(rng: Rng, root: Path) -> Sequence[str]:
        """Odd values in the recipe of a run, as of a stranger's."""
        run = copy("whole", root)
        from clipc.yaml_text import parse_yaml

        recipe = mutated(parse_yaml((run / "recipe.yaml").read_text(), "recipe"), rng)
        text = json.dumps(recipe).replace("NaN", ".nan").replace("Infinity", ".inf")
        (run / "recipe.yaml").write_text(text if rng.integers(4) else "[" * 9999)
        return ["export", str(run), "--out", str(root / "export")]

    def model_config(rng: Rng, root: Path) -> Sequence[str]:
        """Odd values in a model's configuration: its towers, sizes, context length and normalisation."""
        run = copy("whole", root)
        file = run / "model" / "open_clip_config.json"
        content = json.loads(file.read_text())
        sections = [
            content["model_cfg"]["vision_cfg"],
            content["model_cfg"]["text_cfg"],
            content["preprocess_cfg"],
            content["model_cfg"],
        ]
        section = sections[int(rng.integers(4))]
        keys = [
            *section,
            *("timm_model_name", "hf_model_name", "context_length", "mlp_ratio", "layers", "std", "fill_color"),
        ]
        numbers = [0, 1, 2, -1, 3, 10_000, 10_000_000, 10**18, 0.5]
        values = [*ODD_VALUES, [0.5, 0.5], [16, 32], [0.5, 0.5, "x"], *numbers]
        section[keys[int(rng.integers(len(keys)))]] = values[int(rng.integers(len(values)))]
        file.write_text(json.dumps(content if rng.integers(9) else mutated(content, rng)))
        return ["load", str(run / "model"), ""]

    def model_weights(rng: Rng, root: Path) -> Sequence[str]:
        """Flipped bits in a model's weights."""
        run = copy("whole", root)
        _flip(run / "model" / "open_clip_model.safetensors", rng)
        return ["load", str(run), str(bases / "whole" / "model")]

    def foreign_weights(rng: Rng, root: Path) -> Sequence[str]:
        """A weights file of torch with code, other objects, odd tensors or damage."""
        import torch

        from clipc.models.model import ClipModel

        class Evil:
            def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
                return os.system, (f"touch {root.parent / 'outside' / 'run'}; echo RAN",)

        state: dict[str, Any] = ClipModel.load(bases / "whole" / "model").clip.state_dict()
        name = list(state)[int(rng.integers(len(state)))]
        odd = [
            Evil(),
            None,
            "x",
            torch.zeros(3),
            torch.zeros(()),
            torch.zeros((1 << 40,), device="meta"),
            state[name].to_sparse(),
        ]
        odd += [state[name].to(torch.complex64), state[name].half(), state[name].expand(3, *state[name].shape), {}, [1]]
        state[name] = odd[int(rng.integers(len(odd)))]
        file = root / str(rng.choice(["w.pt", "w.bin", "w.safetensors", "w.npz", "w.ckpt"]))
        content = [state, {"state_dict": state}, {"model": {"state_dict": state}}, [state], {}][int(rng.integers(5))]
        if rng.integers(6) == 0:
            file.write_bytes(pickle.dumps({"state_dict": [Evil()]}))
        else:
            torch.save(content, file)
            if rng.integers(4) == 0:
                _flip(file, rng)
        return ["load", f"{bases / 'tiny.json'}:{file}", ""]

    def cached_catalog(rng: Rng, root: Path) -> Sequence[str]:
        """Damage anywhere in a cached catalog."""
        from clipc.catalog.open import open_catalog

        for file in (*bases.glob("*.png"), bases / "pairs.jsonl"):
            shutil.copy2(file, root)
        open_catalog(root / "pairs.jsonl")
        (cached,) = (root.parent / "cache" / "catalogs").glob("*.arrow")
        if rng.integers(5):
            _flip(cached, rng)
        else:
            cached.write_bytes([b"", b"ARROW1", bytes(999), cached.read_bytes()[:-12]][int(rng.integers(4))])
        return ["cached", str(root / "pairs.jsonl")]

    def records(rng: Rng, root: Path) -> Sequence[str]:
        """A record with flipped bits, odd values, or items that unpack to gigabytes."""
        import base64
        import zlib

        from clipc.checksums import sealed
        from clipc.study.trials import EvaluationOptions

        item = {"kind": "<f4", "zlib": base64.b64encode(zlib.compress(bytes(16))).decode()}
        described = {
            "chance": 0.5,
            "n": 4,
            "interval": None,
            "owner": None,
            "default_main": True,
            "higher_is_better": True,
        }
        record: dict[str, Any] = {
            "trial": "n16-s0-x", "recipe": {}, "measuring": EvaluationOptions().as_json(), "summary": {"steps": 3},
            "data": {"name": "x", "fingerprint": "y", "pairs": {"train": 16}}, "machine": {"cores": 2},
            "metrics": {"a": 0.0},
            "descriptions": {"a": {**described, "unit": "share", "secondary": False, "ceiling": None}},
            "last_metrics": {"a": 0.0},
            "context": {}, "evaluation_core_seconds": 1.0, "loss": [[1, 2.0]], "validation": [[1, 0.5]],
            "items": {"values/a": item},
        }  # fmt: skip
        file = root / "r.json"
        if rng.integers(2):
            for _ in range(int(rng.integers(1, 3))):
                record = mutated(record, rng)
            if rng.integers(8) == 0 and isinstance(record, dict):
                record["items"] = {
                    "values/a": {"kind": "<f4", "zlib": base64.b64encode(zlib.compress(bytes(1 << 30))).decode()}
                }
            file.write_text(json.dumps(sealed(record) if isinstance(record, dict) and rng.integers(2) else record))
        else:
            file.write_text(json.dumps(sealed(record)))
            _flip(file, rng)
        return ["record", str(file)]

    return [
        *(
            checkpoint_bits,
            checkpoint_moment,
            progress,
            run_files,
            finished_files,
            recipe_file,
            model_config,
            model_weights,
        ),
        *(foreign_weights, cached_catalog, records),
    ]
