"""Export of both towers to ONNX, verified against PyTorch."""

import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError
from clipc.installation import install_command
from clipc.models.model import ClipModel

TOLERANCE: Final = 1e-4
"""The largest difference allowed between features of ONNX Runtime and PyTorch; features are unit vectors."""

_TEST_BATCHES: Final = (1, 2, 7)
_ONE_FILE_BYTES: Final = 1_500_000_000
_CAPTION: Final = "a photo of two things side by side and what else a caption may say of them"


def export_onnx(model: ClipModel, folder: Path) -> dict[str, float]:
    """Writes ``image.onnx`` and ``text.onnx``, for any batch size, if their features agree with PyTorch's.

    - ``image.onnx`` has the input ``images``, RGB ``uint8``, shape (B, S, S, 3): raw pixels, normalised in the graph.
    - ``text.onnx`` has the input ``tokens``, ``int64``, shape (B, context length), from the model's tokenizer.

    Both have the output ``features``: unit vectors, ``float32``, shape (B, D). Their dot product is the cosine
    similarity. Weights of 1.5 GB or more are stored in a second file (``image.onnx.data``). The opset is the exporter's
    default: 18 or later.

    Args:
        model: The model; it is moved to the CPU during the export and is unchanged afterwards.
        folder: The folder to write, created if missing; existing files of these names are replaced.

    Returns:
        For ``image`` and ``text`` the largest absolute difference between the features of ONNX Runtime and PyTorch,
        over batches of several sizes.

    Raises:
        UserError: Packages are missing, a tower cannot be exported, or its features differ by more than
            :data:`TOLERANCE`; existing files are unchanged.
    """
    try:
        for package in ("onnx", "onnxruntime", "onnxscript"):
            import_module(package)
    except ImportError as error:
        raise UserError(f"{error.name} is missing; install it with: {install_command('onnx')}") from error
    folder.mkdir(parents=True, exist_ok=True)
    towers: dict[str, tuple[nn.Module, str, Callable[[int], torch.Tensor]]] = {
        "image": (_ImageTower(model), "images", lambda count: _images(count, model.image_size)),
        "text": (_TextTower(model), "tokens", lambda count: model.tokenizer(_captions(count))),
    }
    with TemporaryDirectory(dir=folder, prefix=".onnx-") as temporary, _on_cpu(model):
        differences = {name: _export(*tower, Path(temporary) / f"{name}.onnx") for name, tower in towers.items()}
        for file in Path(temporary).iterdir():
            file.replace(folder / file.name)
    return differences


class _ImageTower(nn.Module):
    def __init__(self, model: ClipModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(batch)


class _TextTower(_ImageTower):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        # `encode_tokens` would not do: its sequence length depends on the tokens.
        return F.normalize(self.model.clip.encode_text(batch).float(), dim=-1)  # pyright: ignore


def _export(tower: nn.Module, name: str, inputs: Callable[[int], torch.Tensor], file: Path) -> float:
    """Writes the tower's file; returns the largest difference of its features from PyTorch's."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in tower.state_dict().values())
    try:
        with _quiet():
            torch.onnx.export(
                tower,
                (inputs(2),),
                str(file),
                input_names=[name],
                output_names=["features"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,  # The older exporter does not support fused attention.
                external_data=size >= _ONE_FILE_BYTES,
                verbose=False,
            )
    except Exception as error:
        # A tower that cannot be traced raises errors of many types.
        reason = next(filter(None, str(error).splitlines()), type(error).__name__)[:160].rstrip(".")
        raise UserError(f"the tower {file.stem} cannot be exported to ONNX: {reason}; export without ONNX.") from error
    run = _load_runner(file)
    differences: list[float] = []
    for count in _TEST_BATCHES:
        batch = inputs(count)
        features = torch.from_numpy(run(None, {name: batch.numpy()})[0])
        same_count = features.shape[0] == count
        differences.append(float((features - tower(batch)).abs().max()) if same_count else float("inf"))
    worst = max(differences)
    if not worst <= TOLERANCE:
        raise UserError(
            f"{file.name} differs from PyTorch by {worst:.1e}, more than {TOLERANCE:.0e}, so nothing was written; "
            "export without ONNX, or try other versions of torch and onnxruntime."
        )
    return worst


def _load_runner(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"]).run


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
    """Hides log messages and warnings of the exporter."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _images(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator)


def _captions(count: int) -> list[str]:
    words = _CAPTION.split()
    return [" ".join(words[: 1 + 2 * i]) for i in range(count)]
