from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipc.errors import UserError
from clipc.models.image_input import image_batch
from clipc.models.model import ClipModel
from clipc.render.evaluation_view import Resizing


def image_of(width: int = 40, height: int = 30) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_paths_pil_images_and_arrays_are_the_same_image(tmp_path: Path) -> None:
    image, file = image_of(), tmp_path / "part.png"
    image.save(file)
    batch = image_batch([file, str(file), image, np.asarray(image)], 16, Resizing())
    assert batch.shape == (4, 16, 16, 3)
    assert batch.dtype == torch.uint8
    assert (batch == batch[0]).all()


def test_a_model_encodes_them(tiny_model: str) -> None:
    model = ClipModel.create(tiny_model).eval()
    images = [image_of(), image_of(20, 50)]
    with torch.inference_mode():
        features = model.encode_image(images)
        expected = model.encode_image(image_batch(images, model.image_size, model.resizing))
    assert torch.equal(features, expected)


def test_grey_images_have_three_equal_channels() -> None:
    grey = np.asarray(image_of().convert("L"))
    batch = image_batch([grey, Image.fromarray(grey)], 16, Resizing())
    assert (batch[0] == batch[1]).all()
    assert (batch[..., :1] == batch).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nowhere.jpg", r"the image nowhere\.jpg cannot be read"),
        (np.zeros((4, 4, 3)), r"image 0 is float64 \(4, 4, 3\); give a path"),
        (np.zeros((4, 4, 4), dtype=np.uint8), r"image 0 is uint8 \(4, 4, 4\)"),
        (Image.new("I;16", (4, 4)), r"image 0 has the mode I;16; convert it to RGB"),
        (17, "image 0 is int"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(image: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        image_batch([image], 16, Resizing())  # pyright: ignore[reportArgumentType]


def test_one_image_is_put_into_a_list() -> None:
    with pytest.raises(UserError, match=r"put one into a list"):
        image_batch("part.jpg", 16, Resizing())
