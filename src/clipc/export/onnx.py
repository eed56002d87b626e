"""Both towers as ONNX, checked against PyTorch before they stay."""

import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError
from clipc.models.model import ClipModel

TOLERANCE: Final = 1e-4
"""The largest difference between a feature here and there; features are unit vectors."""

_CHECKED_BATCHES: Final = (1, 2, 7)
_ONE_FILE_BYTES: Final = 1_500_000_000
_WORDS: Final = "a photo of two things side by side and what else a caption may say of them"


def export_onnx(model: ClipModel, folder: Path) -> dict[str, float]:
    """Writes ``image.onnx`` and ``text.onnx``, for any batch size, where they agree with PyTorch.

    - ``image.onnx`` takes ``images``, RGB ``uint8``, shape (B, S, S, 3): raw pixels, normalised inside.
    - ``text.onnx`` takes ``tokens``, ``int64``, shape (B, context length), from the model's tokenizer.

    Both give ``features``, ``float32``, shape (B, D), each of length 1, so that a product of two is their cosine.
    Weights of 1.5 GB or more lie in a second file beside the first (``image.onnx.data``). The opset is the exporter's
    own: 18 or later.

    Args:
        model: The model; it is left as it was, and computed with on the CPU.
        folder: Made where it is not there; older files of these names are replaced.

    Returns:
        For ``image`` and ``text`` the largest difference between ONNX Runtime's features and PyTorch's, over batches of
        several sizes.

    Raises:
        UserError: The packages are missing, or a tower cannot be exported or differs by more than :data:`TOLERANCE`;
            older files stay.
    """
    _need_packages()
    folder.mkdir(parents=True, exist_ok=True)
    towers: dict[str, tuple[nn.Module, str, Callable[[int], torch.Tensor]]] = {
        "image": (_ImageTower(model), "images", lambda count: _pictures(count, model.image_size)),
        "text": (_TextTower(model), "tokens", lambda count: model.tokenizer(_captions(count))),
    }
    with TemporaryDirectory(dir=folder, prefix=".onnx-") as place, _on_cpu(model):
        found = {name: _exported(*tower, Path(place) / f"{name}.onnx") for name, tower in towers.items()}
        for file in Path(place).iterdir():
            file.replace(folder / file.name)
    return found


class _ImageTower(nn.Module):
    def __init__(self, model: ClipModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(images)


class _TextTower(nn.Module):
    def __init__(self, model: ClipModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        # Not `encode_tokens`, which computes a length that hangs on what the tokens are.
        return F.normalize(self.model.clip.encode_text(tokens).float(), dim=-1)  # pyright: ignore


def _exported(tower: nn.Module, name: str, inputs: Callable[[int], torch.Tensor], file: Path) -> float:
    """The largest difference, once the tower's file is written."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in tower.state_dict().values())
    try:
        with _quiet():
            torch.onnx.export(
                tower,
                (inputs(2),),
                str(file),
                input_names=[name],
                output_names=["features"],
                dynamic_shapes={name: {0: torch.export.Dim("batch")}},
                dynamo=True,  # The older exporter knows no fused attention.
                external_data=size >= _ONE_FILE_BYTES,
                verbose=False,
            )
    except Exception as error:
        # What a tower that cannot be traced trips is of many kinds.
        why = next(filter(None, str(error).splitlines()), type(error).__name__)[:160].rstrip(".")
        raise UserError(f"the tower {file.stem} cannot be exported to ONNX: {why}; leave onnx out.") from error
    run = _session(file)
    differences: list[float] = []
    for count in _CHECKED_BATCHES:
        given = inputs(count)
        found = torch.from_numpy(run(None, {name: given.numpy()})[0])
        differences.append(float((found - tower(given)).abs().max()) if found.shape[0] == count else float("inf"))
    worst = max(differences)
    if not worst <= TOLERANCE:
        raise UserError(
            f"{file.name} differs from PyTorch by {worst:.1e}, more than {TOLERANCE:.0e}, so nothing was written; "
            "leave onnx out, and try other versions of torch and onnxruntime."
        )
    return worst


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"]).run


def _need_packages() -> None:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise UserError(f'{error.name} is missing; pip install "clipc[onnx]" brings it.') from error
    del onnx, onnxruntime, onnxscript


@contextmanager
def _on_cpu(model: ClipModel) -> Generator[None]:
    device, training = model.device, model.training
    model.to("cpu").eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.to(device).train(training)


@contextmanager
def _quiet() -> Generator[None]:
    """Without the exporter's notes on its own workings."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _pictures(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator)


def _captions(count: int) -> list[str]:
    words = _WORDS.split()
    return [" ".join(words[: 1 + 2 * i]) for i in range(count)]
