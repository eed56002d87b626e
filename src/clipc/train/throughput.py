"""Throughput: floating-point operations of a step, model FLOPs utilisation, waiting time and memory."""

import re
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import isqrt, prod
from typing import Any, Final

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from clipc.models.model import ClipModel
from clipc.models.text_tower import padding_id
from clipc.recipe.yaml_table import parse_yaml

_SHORT_TOKENS: Final = 8
_ROWS: Final = 2  # Batch norm needs more than one row.


@dataclass(frozen=True)
class StepFlops:
    """Floating-point operations of a training step, forward and backward, per pair.

    The multiplications and additions of matrix products and convolutions are counted. As in PaLM (arXiv 2204.02311,
    appendix B), causal attention counts in full although half of it is masked, and recomputation to save memory does
    not count.

    Attributes:
        image: The number of operations for one image.
        short: The numbers of tokens and operations of a short caption.
        long: The numbers of tokens and operations of a caption as long as the context.
    """

    image: float
    short: tuple[int, float]
    long: tuple[int, float]

    @classmethod
    def count(cls, model: ClipModel) -> "StepFlops | None":
        """Counts a model's operations on meta tensors, which have shapes but no values, if the model supports them.

        Weights, gradients, running statistics and random generators are unchanged. Frozen towers have no backward
        pass. On meta tensors the time taken does not depend on the model's width or image size; models of one structure
        are counted once in a process, since the trials of a study share it.

        Returns:
            The counts; None if the model cannot encode two images or captions of zeros.
        """
        size, context = model.image_size, model.tokenizer.context_length
        weights = [(name, weight.shape, weight.requires_grad) for name, weight in model.named_parameters()]
        structure = repr((size, context, weights, model))
        if structure in _COUNTED:
            return _COUNTED[structure]
        short, padding = min(_SHORT_TOKENS, context), padding_id(model.clip) or 0
        try:
            flops = cls(
                _count(model, "encode_image", torch.zeros(_ROWS, size, size, 3, dtype=torch.uint8)),
                (short, _count(model, "encode_tokens", _captions(short, context, padding))),
                (context, _count(model, "encode_tokens", _captions(context, context, padding))),
            )
        except (RuntimeError, TypeError, ValueError):
            flops = None
        _COUNTED[structure] = flops
        return flops

    def of_pair(self, tokens: float) -> float:
        """The number of operations for one pair.

        It is interpolated linearly between two lengths of captions. Attention is quadratic in the length, but
        contributes at most a percent.

        Args:
            tokens: The number of tokens of the caption, which may be an average.
        """
        (low, low_count), (high, high_count) = self.short, self.long
        text = low_count if high == low else low_count + (high_count - low_count) * (tokens - low) / (high - low)
        return self.image + text


_COUNTED: dict[str, StepFlops | None] = {}
"""The counts of this process, by the structure of the model."""


class Meter:
    """Measures throughput between two lines of the log."""

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
            device: The device of the run.
            precision: The precision of the towers.
            flops: The model's operations; with None, ``mfu`` is left out of the metrics.
            ranks: The number of processes.
            clock: A function that returns seconds.
        """
        self._device, self._ranks, self._clock, self._flops = device, ranks, clock, flops
        self._peak = peak_flops(device, precision)[0] if flops is not None else None
        self.restart()

    def restart(self) -> None:
        """Resets all counts, for example after validation."""
        self._start = self._clock()
        self._pairs, self._wait, self._operations, self._tokens = 0, 0.0, 0.0, 0.0

    def tick(self, pairs: int, wait: float, tokens: float) -> None:
        """Counts one step.

        Args:
            pairs: The number of pairs of this process.
            wait: Seconds of waiting for the loader.
            tokens: The average number of tokens computed for a caption, with padding.
        """
        self._pairs += pairs
        self._wait += wait
        self._tokens += pairs * tokens
        if self._flops is not None:
            self._operations += pairs * self._flops.of_pair(tokens)

    def metrics(self) -> dict[str, float]:
        """The metrics since the last call; resets the counts.

        A GPU works asynchronously, so read the loss before the call: that waits for the GPU.

        Returns:
            ``pairs_per_second`` over all processes; ``loader_wait``, the share of the time spent waiting for
            the loader, in [0, 1]; ``tokens``, the average number computed for a caption; ``peak_memory`` in bytes; and
            ``mfu``, model FLOPs utilisation, if the model's operations and the device's peak are known.
        """
        seconds = max(self._clock() - self._start, 1e-9)
        metrics = {
            "pairs_per_second": self._pairs * self._ranks / seconds,
            "loader_wait": min(1.0, self._wait / seconds),
            "tokens": self._tokens / max(1, self._pairs),
            "peak_memory": float(peak_memory(self._device)),
        }
        if self._peak is not None:
            metrics["mfu"] = self._operations / seconds / self._peak
        self.restart()
        return metrics


def peak_memory(device: torch.device) -> int:
    """The peak memory of this process in bytes: of tensors on a CUDA device, else resident memory (0 on Windows)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_flops(device: torch.device, precision: torch.dtype) -> tuple[float | None, str]:
    """A device's peak rate in operations per second, and a text that names the source of this value.

    Args:
        device: The device. A GPU is looked up by its name; on a CPU a matrix product is timed with the current threads.
        precision: The dtype of matrix products; ``float32`` on a GPU means TF32 if PyTorch may use it.

    Returns:
        The rate, None for an unknown device, and its source.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        tf32 = precision == torch.float32 and torch.get_float32_matmul_precision() != "highest"
        peak = data_sheet(name, "tf32" if tf32 else str(precision).removeprefix("torch."))
        return peak, f"data sheet of {name}" if peak is not None else f"no data sheet known for {name}"
    if device.type == "cpu":
        return _measure_peak(precision, torch.get_num_threads()), "measured matrix product"
    return None, f"no data sheet known for {device.type}"


def data_sheet(name: str, kind: str) -> float | None:
    """A GPU's peak rate without structured sparsity, in operations per second, from its maker's data sheet.

    Args:
        name: PyTorch's name of the device, such as ``NVIDIA H100 80GB HBM3``.
        kind: ``bfloat16``, ``float16``, ``tf32`` or ``float32``.

    Returns:
        The rate; None for a precision without hardware support, or a GPU (or MIG slice) that is not in the table.
    """
    words = [word for word in re.split(r"[\s-]+", name.lower()) if word not in _MAKERS and not _PACKAGE.fullmatch(word)]
    rates = _teraflops().get(" ".join(words))
    if rates is None:
        return None
    half, tf32, single = rates
    bf16 = None if words[0] in _WITHOUT_BF16 else half
    rate = {"bfloat16": bf16, "float16": half, "tf32": tf32 or single, "float32": single}.get(kind)
    return None if rate is None else rate * 1e12


_MAKERS: Final = {"nvidia", "amd", "geforce", "tesla", "instinct"}
_PACKAGE: Final = re.compile(r"\d+gi?b?|sxm\d|hbm\d\w*|oam")
_WITHOUT_BF16: Final = {"v100", "v100s", "t4"}


@cache
def _teraflops() -> dict[str, tuple[float, float | None, float]]:
    return parse_yaml((resources.files("clipc.train") / "gpus.yaml").read_text("utf-8"), "gpus.yaml")


@cache
def _measure_peak(precision: torch.dtype, threads: int, seconds: float = 0.1) -> float:
    """The best rate of a matrix product in ``seconds``, in operations per second; cached for each number of threads."""
    # The product is short enough that some repetition is undisturbed, and long enough to use all cores.
    side = 512 * max(1, isqrt(threads))
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(side, side, generator=generator).to(precision) for _ in range(2))
    start = last = time.perf_counter()
    best = float("inf")
    while best == float("inf") or last - start < seconds:
        torch.mm(a, b)
        now = time.perf_counter()
        best, last = min(best, now - last), now
    return 2 * side**3 / best


class _MethodCall(nn.Module):
    """Calls a method of a model in ``forward``, for ``functional_call``."""

    def __init__(self, model: ClipModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, method: str, batch: torch.Tensor) -> torch.Tensor:
        return getattr(self.model, method)(batch)


def _count(model: ClipModel, method: str, batch: torch.Tensor) -> float:
    call = _MethodCall(model)
    try:
        state = {name: torch.empty_like(tensor, device="meta") for name, tensor in _tensors(call)}
        return _count_with(call, state, method, batch)
    except (RuntimeError, TypeError, ValueError):  # transformers' text towers read the values of their masks.
        state = {name: tensor.detach() for name, tensor in _tensors(call)}
        return _count_with(call, state | {k: b.clone() for k, b in call.named_buffers()}, method, batch)


def _tensors(call: _MethodCall) -> Iterator[tuple[str, torch.Tensor]]:
    yield from call.named_parameters()
    yield from call.named_buffers()


def _count_with(call: _MethodCall, state: dict[str, torch.Tensor], method: str, batch: torch.Tensor) -> float:
    """Counts with these tensors in place of the model's, whose gradients they do not get."""
    model = call.model
    for name, parameter in call.named_parameters():
        state[name].requires_grad_(parameter.requires_grad)
    eager, counter = torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False, custom_mapping=_MAPPING)
    with eager, _no_checkpointing(model), torch.random.fork_rng(devices=[]), torch.enable_grad(), counter:
        features = functional_call(call, state, (method, batch))
        if features.requires_grad:
            features.sum().backward()
    return counter.get_total_flops() / _ROWS


def _convolution_backward(
    grad_out: list[int], images: list[int], weight: list[int], *args: Any, out_shape: Any, **kwargs: Any
) -> int:
    """Each gradient of a convolution costs as much as the convolution; PyTorch's own count ignores groups."""
    _bias, _stride, _padding, _dilation, transposed, _output_padding, _groups, wanted = args
    places = prod((images if transposed else grad_out)[2:])
    return 2 * images[0] * places * prod(weight) * sum(wanted[:2])


_MAPPING: Final = {torch.ops.aten.convolution_backward: _convolution_backward}


@contextmanager
def _no_checkpointing(model: nn.Module) -> Generator[None]:
    """Disables gradient checkpointing during the block."""
    switches = [
        (module, name)
        for module in model.modules()
        for name in ("grad_checkpointing", "gradient_checkpointing")  # open_clip's and timm's; transformers'
        if getattr(module, name, False) is True
    ]
    for module, name in switches:
        setattr(module, name, False)
    try:
        yield
    finally:
        for module, name in switches:
            setattr(module, name, True)


def _captions(tokens: int, context: int, padding: int = 0) -> torch.Tensor:
    """Token ids of captions with a number of tokens, ``int64`` (rows, context); the largest id is the end token."""
    ids = torch.full((_ROWS, context), padding, dtype=torch.int64)
    ids[:, :tokens] = padding + 1
    ids[:, tokens - 1] = padding + 2
    return ids
