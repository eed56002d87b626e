"""What each way of tuning costs: the time and memory of a training step, and how much of the model learns.

    python benchmarks/tuning.py [--models vit ViT-B-32] [--batch 32] [--rounds 4] [--threads 1] [--quick]

Weights are fresh, pictures noise and captions all of 14 tokens, since a step costs the same whatever they show. All
ways make a step in each round, so that a busy machine does not favour one; the first round warms up and is not timed.
Times are processor time on the CPU. Activations are what a step keeps for its gradients; the optimizer's state is two
numbers for each that learns.
"""

import argparse
import time
from dataclasses import dataclass, field
from statistics import median

import torch

from clipc.models.model import ClipModel
from clipc.models.tuning import Tuning, apply_tuning
from clipc.recipe.run import cpu_name
from clipc.train.loss import contrastive_loss
from clipc.train.optimizer import adamw

WAYS = {
    "everything": Tuning(),
    "everything, layer_decay 0.75": Tuning(layer_decay=0.75),
    "last 2 layers of both": Tuning(image=2, text=2),
    "image locked": Tuning(image="locked"),
    "text locked": Tuning(text="locked"),
    "lora 8": Tuning(lora=8),
    "lora 8, image locked": Tuning(lora=8, image="locked"),
}
CAPTION = "a large red gear beside a small blue plate and a bolt"


@dataclass
class Way:
    """A model that is tuned in one way."""

    model: ClipModel
    optimizer: torch.optim.Optimizer
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def create(cls, name: str, tuning: Tuning) -> "Way":
        """A fresh model of a name."""
        model = ClipModel.create(name)
        apply_tuning(model.clip, tuning)
        return cls(model.train(), adamw(model, 1e-4, 0.1, (0.9, 0.98), tuning.layer_decay))

    @property
    def learning(self) -> int:
        """How many numbers learn."""
        return sum(p.numel() for group in self.optimizer.param_groups for p in group["params"])

    def step(self, images: torch.Tensor, tokens: torch.Tensor) -> None:
        """One step, timed."""
        began = time.process_time()
        model = self.model
        loss = contrastive_loss(model.encode_image(images), model.encode_tokens(tokens), model.logit_scale.exp())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.seconds.append(time.process_time() - began)

    def kept_bytes(self, images: torch.Tensor, tokens: torch.Tensor) -> int:
        """What a forward pass keeps for the gradients, weights aside; storage that is shared counts once."""
        weights = {p.untyped_storage().data_ptr() for p in self.model.parameters()}
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if (place := tensor.untyped_storage().data_ptr()) not in weights:
                kept[place] = tensor
            return tensor

        model = self.model
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            contrastive_loss(model.encode_image(images), model.encode_tokens(tokens), model.logit_scale.exp())
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def compare(name: str, batch: int, rounds: int) -> None:
    """Prints a table for one model."""
    ways = {what: Way.create(name, tuning) for what, tuning in WAYS.items()}
    first = ways["everything"].model
    size = first.image_size
    images = torch.randint(0, 256, (batch, size, size, 3), generator=torch.Generator().manual_seed(0)).byte()
    tokens = first.tokenizer([CAPTION] * batch)
    kept = {what: way.kept_bytes(images, tokens) for what, way in ways.items()}
    for _ in range(rounds):
        for way in ways.values():
            way.step(images, tokens)
    whole = median(ways["everything"].seconds[1:])
    print(f"\n{name} at {size} px, batch {batch}, medians of {rounds - 1} rounds")
    print(f"{'':30s}{'s a step':>10s}{'of all':>8s}{'learn':>10s}{'activations':>13s}{'optimizer':>11s}")
    for what, way in ways.items():
        seconds = median(way.seconds[1:])
        print(
            f"{what:30s}{seconds:10.2f}{seconds / whole:8.0%}{way.learning / 1e6:8.2f} M"
            f"{kept[what] / 2**20:9.0f} MiB{way.learning * 8 / 2**20:7.0f} MiB"
        )


def main() -> None:
    """Prints a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["vit", "ViT-B-32"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a small model, to see that it runs")
    asked = parser.parse_args()
    if asked.quick:
        asked.models, asked.batch, asked.rounds = ["vit"], 2, 2
    torch.set_num_threads(asked.threads)
    print(f"{cpu_name()}, {asked.threads} thread(s); torch {torch.__version__}")
    for name in asked.models:
        compare(name, asked.batch, asked.rounds)


if __name__ == "__main__":
    main()
