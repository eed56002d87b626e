"""Pairs a second and core: open_clip's data path, and clipc's renderers without and with composition.

    python benchmarks/loader.py [--source FOLDER --size 112] [--grain 11] [--quick] [--json]

Without a source it draws JPEGs of photographs' weight (500 x 375 px, smooth shapes and noise) into tars; how much
noise decides how many bytes there are to decode, which costs every path the same. open_clip's
path has the stages of ``open_clip_train.data``, whose own function needs an older webdataset: the tars are read,
shuffled and decoded by webdataset, ``open_clip.image_transform`` cuts and normalises, its tokenizer encodes. Ours
goes through ``render.loader.load`` and leaves normalising to the device. All crop the same share of the area, in one
process and on one thread. In every round each path shows an epoch, batch by batch in turn; the figures are processor
time, medians of the rounds after a first one that fills caches (the resident renderer's pictures among them).
"""

import argparse
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
import webdataset as wds
from open_clip import get_tokenizer, image_transform
from open_clip_train.data import detshuffle2, filter_no_caption_or_no_image
from PIL import Image

from clipc import Catalog, Policy, open_catalog
from clipc.models.tokenizer import load_tokenizer
from clipc.prepare.plans import make_plans
from clipc.progress import silent
from clipc.render.choose import Choice, make_renderer
from clipc.render.crop import Augmentation
from clipc.render.loader import Renderer, load
from clipc.render.worker import WorkerRenderer

SCALE = (0.9, 1.0)
BATCH = 128
PEER = "open_clip"
Epoch = Callable[[int], Iterator[int]]
"""One epoch of a path: the sizes of its batches, as they come."""


def draw_tars(folder: Path, count: int, grain: float) -> Path:
    """JPEGs of 500 x 375 px (quality 90) with a caption of 12 words each, 500 in a tar."""
    generator = np.random.Generator(np.random.Philox(0))
    words = np.array(["a", "red", "dog", "runs", "over", "grass", "near", "an", "old", "house", "under", "blue", "sky"])
    for start in range(0, count, 500):
        with tarfile.open(folder / f"{start // 500:05d}.tar", "w") as tar:
            for number in range(start, min(count, start + 500)):
                shapes = generator.integers(0, 256, (15, 20, 3), dtype=np.uint8)
                smooth = np.asarray(Image.fromarray(shapes).resize((500, 375), Image.Resampling.BICUBIC))
                noise = generator.standard_normal((375, 500, 1), dtype=np.float32)
                file = io.BytesIO()
                noisy = Image.fromarray(np.clip(smooth + grain * noise, 0, 255).astype(np.uint8))
                noisy.save(file, "JPEG", quality=90)
                caption = " ".join(words[generator.integers(0, len(words), 12)])
                for ending, body in (("jpg", file.getvalue()), ("txt", caption.encode())):
                    entry = tarfile.TarInfo(f"{number:06d}.{ending}")
                    entry.size = len(body)
                    tar.addfile(entry, io.BytesIO(body))
    return folder


def open_clip_path(pairs: Catalog, size: int) -> Epoch:
    """open_clip's training data, in this process."""
    tars = sorted(str(pairs.root / name) for name in pairs.table["file"].unique().to_pylist())
    transform = image_transform(size, is_train=True, aug_cfg={"scale": SCALE})
    tokenizer = get_tokenizer("ViT-B-32")

    def epoch(number: int) -> Iterator[int]:
        data = wds.DataPipeline(
            wds.SimpleShardList(tars),
            detshuffle2(bufsize=2000, initial=500, seed=0, epoch=number),
            wds.split_by_node,
            wds.split_by_worker,
            wds.tarfile_to_samples(),
            wds.shuffle(bufsize=5000, initial=1000),
            wds.select(filter_no_caption_or_no_image),
            wds.decode("pilrgb"),
            wds.rename(image="jpg;png;jpeg;webp", text="txt"),
            wds.map_dict(image=transform, text=lambda text: tokenizer(text)[0]),
            wds.to_tuple("image", "text"),
            wds.batched(BATCH, partial=False),
        ).with_epoch(len(pairs) // BATCH)
        yield from (len(images) for images, _ in wds.WebLoader(data, batch_size=None, shuffle=False, num_workers=0))

    return epoch


def renderers(pairs: Catalog, size: int) -> dict[str, Epoch]:
    """The renderers of clipc, without and with composition."""
    augmentation, tokenizer = Augmentation(crop_scale=SCALE), load_tokenizer("ViT-B-32")

    made: dict[str, Epoch] = {}
    in_memory = Choice("resident", torch.device("cpu"), "measured")
    for rho in (0.0, 0.3):
        plans = make_plans(Policy(rho=rho), pairs, 0)
        worker = WorkerRenderer(plans, augmentation, size, tokenizer)
        resident = make_renderer(in_memory, plans, augmentation, size, tokenizer, silent)
        for name, renderer in (("worker", worker), ("resident", resident)):
            made[f"{name}, rho {rho:g}"] = _epochs(renderer, len(pairs))
    return {name: made[name] for name in sorted(made, key=lambda name: (name[0] != "w", name))}


def _epochs(renderer: Renderer, pairs: int) -> Epoch:
    steps = pairs // BATCH

    def epoch(number: int) -> Iterator[int]:
        yield from map(len, load(renderer, BATCH, range(number * steps, (number + 1) * steps)))

    return epoch


def measure(paths: dict[str, Epoch], rounds: int) -> dict[str, list[float]]:
    """Microseconds of processor time a pair, for each round after the first; batches of all paths take turns."""
    times: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(rounds + 1):
        spent, shown = dict.fromkeys(paths, 0.0), dict.fromkeys(paths, 0)
        running = {name: epoch(number) for name, epoch in paths.items()}
        while running:
            for name, batches in list(running.items()):
                began = time.process_time()
                size = next(batches, None)
                spent[name] += 1e6 * (time.process_time() - began)
                if size is None:
                    del running[name]
                else:
                    shown[name] += size
        if number:
            for name, of_path in times.items():
                of_path.append(spent[name] / shown[name])
    return times


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="a folder of tars; the training split is shown")
    parser.add_argument("--size", type=int, default=224, help="side of the pictures that come out, in pixels")
    parser.add_argument(
        "--grain", type=float, default=11, help="noise of drawn JPEGs: 11 makes 86 kB of each, 0 makes 30 kB"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer pairs are drawn, one round")
    parser.add_argument("--json", action="store_true", help="prints one JSON object")
    asked = parser.parse_args()
    count, rounds = (320, 1) if asked.quick else (2000, asked.rounds)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        pairs = open_catalog(asked.source or draw_tars(Path(folder), count, asked.grain)).split("train")
        found = measure({PEER: open_clip_path(pairs, asked.size), **renderers(pairs, asked.size)}, rounds)
    each = {name: median(times) for name, times in found.items()}
    ratios = {name: _ratio(found[PEER], times) for name, times in found.items()}
    losses = {name: 1 - _ratio(found[f"{name}, rho 0"], found[f"{name}, rho 0.3"]) for name in ("worker", "resident")}
    if asked.json:
        print(json.dumps({"pairs": len(pairs), "size": asked.size, "us": each, "ratios": ratios, "losses": losses}))
        return
    width, height = np.median(pairs.sizes, axis=0).astype(int)
    bytes_each = np.median(pairs.table["size"].to_numpy()) / 1000
    print(
        f"{len(pairs):,} pairs, {width} x {height} px and {bytes_each:.0f} kB each, shown at {asked.size} px; "
        f"medians of {rounds} epochs"
    )
    print(f"{'':20s} {'us a pair':>10s} {'pairs/s':>10s} {'ratio':>8s}")
    for name, one in each.items():
        print(f"{name:20s} {one:10.0f} {1e6 / one:10.0f} {ratios[name]:8.2f}")
    for name, loss in losses.items():
        print(f"{name}: rho 0.3 shows {100 * loss:.1f} % fewer pairs a second than rho 0")


def _ratio(ones: list[float], others: list[float]) -> float:
    """The median of the rounds' ratios: what else a machine does slows all paths of a round alike."""
    return median(one / other for one, other in zip(ones, others, strict=True))


if __name__ == "__main__":
    main()
