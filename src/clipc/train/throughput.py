"""What a step costs and how near it comes to the device's limit: the figures of every line of a run's log."""

import re
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import isqrt
from typing import Any, Final

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from clipc.models.model import ClipModel

_SHORT: Final = 8
_ROWS: Final = 2  # Batch norm takes no statistics of a single one.


@dataclass(frozen=True)
class StepFlops:
    """Floating-point operations of a training step, forward and backward, for each pair.

    The multiplications and additions of matrix products and convolutions count, those of attention in full although
    half of it is masked; what is computed a second time to save memory does not (PaLM, arXiv 2204.02311, appendix B).

    Attributes:
        image: For one picture.
        short: Tokens and operations of a short caption.
        long: The same for the longest that the model takes.
    """

    image: float
    short: tuple[int, float]
    long: tuple[int, float]

    @classmethod
    def count(cls, model: ClipModel) -> "StepFlops | None":
        """Counts a model's operations on tensors that have shapes but no contents.

        Weights, gradients, running statistics and random generators stay as they were, and towers that are locked cost
        no backward. It takes the time of starting some thousand operations, whatever the model's size.

        Returns:
            None where an operation of the model needs contents.
        """
        size, context = model.image_size, model.tokenizer.context_length
        short = min(_SHORT, context)
        try:
            return cls(
                _counted(model, "encode_image", torch.zeros(_ROWS, size, size, 3, dtype=torch.uint8)),
                (short, _counted(model, "encode_tokens", _captions(short, context))),
                (context, _counted(model, "encode_tokens", _captions(context, context))),
            )
        except (RuntimeError, TypeError, ValueError):
            return None

    def of_pair(self, tokens: float) -> float:
        """Operations of one pair whose caption is computed with so many tokens, which may be an average.

        Between two lengths the count is drawn straight: attention is not linear, but a percent of the sum at most.
        """
        (low, cheap), (high, dear) = self.short, self.long
        text = cheap if high == low else cheap + (dear - cheap) * (tokens - low) / (high - low)
        return self.image + text


class Meter:
    """Counts what a run does between two lines of its log."""

    def __init__(
        self,
        device: torch.device,
        precision: torch.dtype,
        flops: StepFlops | None,
        *,
        ranks: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Starts counting.

        Args:
            device: What the run computes on.
            precision: What it computes in.
            flops: The model's operations; None leaves ``mfu`` out.
            ranks: The number of processes that do the same as this one.
            clock: Seconds since some time.
        """
        self._device, self._ranks, self._clock, self._flops = device, ranks, clock, flops
        self._peak = peak_flops(device, precision)[0] if flops is not None else None
        self.restart()

    def restart(self) -> None:
        """Forgets what was counted: validation, for example, is no training."""
        self._began = self._clock()
        self._pairs, self._waited, self._done, self._tokens = 0, 0.0, 0.0, 0.0

    def tick(self, pairs: int, waited: float, tokens: float) -> None:
        """Counts one step.

        Args:
            pairs: Those of this process.
            waited: Seconds until the loader had the batch ready.
            tokens: How many each caption was computed with, on average.
        """
        self._pairs += pairs
        self._waited += waited
        self._tokens += pairs * tokens
        if self._flops is not None:
            self._done += pairs * self._flops.of_pair(tokens)

    def line(self) -> dict[str, float]:
        """The figures since the last line, and starts anew.

        On a GPU, work is only asked for, not done, when a step returns: read the loss before.

        Returns:
            ``pairs_per_second`` over all processes; ``loader_wait``, the share of the time, in [0, 1]; ``tokens`` that
            a caption was computed with, on average; ``peak_memory`` in bytes; and ``mfu``, the share of the device's
            peak in operations a second, where both are known.
        """
        seconds = max(self._clock() - self._began, 1e-9)
        figures = {
            "pairs_per_second": self._pairs * self._ranks / seconds,
            "loader_wait": min(1.0, self._waited / seconds),
            "tokens": self._tokens / max(1, self._pairs),
            "peak_memory": float(peak_memory(self._device)),
        }
        if self._peak is not None:
            figures["mfu"] = self._done / seconds / self._peak
        self.restart()
        return figures


def peak_memory(device: torch.device) -> int:
    """The most memory that this process has held so far, in bytes: the GPU's for tensors, otherwise the system's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows has no such figure.
        return 0
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


def peak_flops(device: torch.device, precision: torch.dtype) -> tuple[float | None, str]:
    """The operations a second that a device can reach, and where the figure comes from.

    Args:
        device: A GPU is looked up by its name; on a CPU a large matrix product is timed with the threads in use.
        precision: ``float32`` on a GPU means TF32 where PyTorch may use it.

    Returns:
        None for a device that is not known: no figure is guessed.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        tf32 = precision == torch.float32 and torch.get_float32_matmul_precision() != "highest"
        peak = data_sheet(name, "tf32" if tf32 else str(precision).removeprefix("torch."))
        return peak, f"data sheet of {name}" if peak is not None else f"no data sheet known for {name}"
    if device.type == "cpu":
        return _measured(precision, torch.get_num_threads()), "measured matrix product"
    return None, f"no data sheet known for {device.type}"


def data_sheet(name: str, kind: str) -> float | None:
    """A GPU's peak by its maker's data sheet, dense (without structured sparsity), in operations a second.

    Args:
        name: As PyTorch tells it, such as ``NVIDIA H100 80GB HBM3``.
        kind: ``bfloat16``, ``float16``, ``tf32`` or ``float32``.

    Returns:
        None for a GPU, or a part of one, that is not in the table, or a kind of number that it has no units for.
    """
    words = [word for word in re.split(r"[\s-]+", name.lower()) if word not in _MAKERS and not _PACKAGE.fullmatch(word)]
    rates = _TERAFLOPS.get(" ".join(words))
    if rates is None:
        return None
    half, tf32, single = rates
    bf16 = None if words[0] in _WITHOUT_BF16 else half
    found = {"bfloat16": bf16, "float16": half, "tf32": tf32 or single, "float32": single}.get(kind)
    return None if found is None else found * 1e12


_MAKERS: Final = {"nvidia", "amd", "geforce", "tesla", "instinct"}
_PACKAGE: Final = re.compile(r"\d+gi?b?|sxm\d|hbm\d\w*|oam")
_WITHOUT_BF16: Final = {"v100", "v100s", "t4"}
_TERAFLOPS: Final[dict[str, tuple[float, float | None, float]]] = {
    # bf16 and fp16 in matrix units with fp32 sums; TF32; fp32 outside matrix units. Sheets that print sparse rates only
    # are halved.
    # NVIDIA HGX B200, HGX B300, GB200 NVL72 data sheets.
    "b200": (2250, 1125, 75),
    "b300": (2250, 1125, 75),
    "gb200": (2500, 1250, 80),
    # NVIDIA H100, H200 and GH200 data sheets.
    "gh200": (989.5, 494.7, 67),
    "h200": (989.5, 494.7, 67),
    "h200 nvl": (835.5, 417.5, 60),
    "h100": (989.5, 494.7, 67),
    "h100 nvl": (835.5, 417.5, 60),
    "h100 pcie": (756.5, 378, 51),
    # NVIDIA A100, A30, A40, A10 and A2 data sheets.
    "a100": (312, 156, 19.5),
    "a100 pcie": (312, 156, 19.5),
    "a30": (165, 82, 10.3),
    "a40": (149.7, 74.8, 37.4),
    "a10": (125, 62.5, 31.2),
    "a2": (18, 9, 4.5),
    # NVIDIA L40S, L40 and L4 data sheets.
    "l40s": (362, 183, 91.6),
    "l40": (181, 90.5, 90.5),
    "l4": (121, 60, 30.3),
    # NVIDIA V100 and T4 data sheets.
    "v100": (125, None, 15.7),
    "v100 pcie": (112, None, 14),
    "v100s pcie": (130, None, 16.4),
    "t4": (65, None, 8.1),
    # NVIDIA GA102, Ada and RTX Blackwell architecture papers: fp16 with fp32 sums, half of the rate on the box.
    "rtx 3090": (71, 35.6, 35.6),
    "rtx 4080": (97.5, 48.7, 48.7),
    "rtx 4090": (165.2, 82.6, 82.6),
    "rtx 5080": (112.6, 56.3, 56.3),
    "rtx 5090": (209.5, 104.8, 104.8),
    "rtx a6000": (154.8, 77.4, 38.7),
    "rtx 6000 ada generation": (364.2, 182.1, 91.1),
    # AMD Instinct MI300X and MI325X data sheets.
    "mi300x": (1307.4, 653.7, 163.4),
    "mi325x": (1307.4, 653.7, 163.4),
}


@cache
def _measured(precision: torch.dtype, threads: int, seconds: float = 0.1) -> float:
    """The best rate of a matrix product, in operations a second; ``threads`` is what it was measured with."""
    # Short enough that one of many finds its cores free, long enough to fill them.
    side = 512 * max(1, isqrt(threads))
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(side, side, generator=generator).to(precision) for _ in range(2))
    began = last = time.perf_counter()
    best = float("inf")
    while best == float("inf") or last - began < seconds:
        torch.mm(left, right)
        now = time.perf_counter()
        best, last = min(best, now - last), now
    return 2 * side**3 / best


class _Call(nn.Module):
    """One of a model's methods, as a module that can be called with other weights."""

    def __init__(self, model: ClipModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, method: str, batch: torch.Tensor) -> torch.Tensor:
        return getattr(self.model, method)(batch)


def _counted(model: ClipModel, method: str, batch: torch.Tensor) -> float:
    call = _Call(model)
    state = {name: _shape_of(tensor) for name, tensor in (*call.named_parameters(), *call.named_buffers())}
    eager, counter = torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False)
    with eager, _once(model), torch.random.fork_rng(devices=[]), torch.enable_grad(), counter:
        features = functional_call(call, state, (method, batch))
        if features.requires_grad:
            features.sum().backward()
    return counter.get_total_flops() / _ROWS


@contextmanager
def _once(model: nn.Module) -> Generator[None]:
    """With activations kept, as if memory were plenty."""
    twice: list[Any] = [module for module in model.modules() if getattr(module, "grad_checkpointing", False) is True]
    for module in twice:
        module.grad_checkpointing = False
    try:
        yield
    finally:
        for module in twice:
            module.grad_checkpointing = True


def _shape_of(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(tensor, device="meta").requires_grad_(tensor.requires_grad)


def _captions(tokens: int, context: int) -> torch.Tensor:
    """Captions of so many tokens, the end token being the largest."""
    ids = torch.zeros(_ROWS, context, dtype=torch.int64)
    ids[:, :tokens] = 1
    ids[:, tokens - 1] = 2
    return ids
