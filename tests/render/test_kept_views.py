"""Kept views depend on the image and the augmentation alone; their halves are those of the layout."""

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.render.crop import Augmentation
from clipc.render.kept_views import KeptViews

CROPS = Augmentation(crop_scale=(0.3, 0.9), flip=0.5)


def test_views_are_the_same_in_every_subset_and_nested_in_more_views(tiny_catalog: Catalog) -> None:
    whole, rows = KeptViews.of(tiny_catalog, CROPS, 3), [7, 3, 30]
    part = KeptViews.of(tiny_catalog.take(rows), CROPS, 2)
    assert np.array_equal(part.box, whole.box[rows, :2])
    assert np.array_equal(part.mirrored, whole.mirrored[rows, :2])


def test_boxes_lie_inside_their_images_and_have_the_asked_area(tiny_catalog: Catalog) -> None:
    views = KeptViews.of(tiny_catalog, CROPS, 4)
    size = views.sizes[:, None]
    assert (views.box[..., :2] >= 0).all()
    assert (views.box[..., 2:] <= size + 1e-9).all()
    share = np.prod(views.box[..., 2:] - views.box[..., :2], axis=-1) / np.prod(size, axis=-1)
    assert share.min() > 0.3 - 1e-9
    assert share.max() < 0.9 + 1e-9
    assert share.std() > 0.1
    assert not views.mirrored[:, 0].any()
    assert 0.3 < views.mirrored[:, 1:].mean() < 0.7


def test_halves_show_the_centre_of_their_view(tiny_catalog: Catalog) -> None:
    views, image = KeptViews.of(tiny_catalog, CROPS, 3), tiny_catalog.image(2)
    whole = views.render(image, 2, 32)
    upright, flat = views.render_halves(image, 2, 32)
    for view, side, top in zip(whole, upright, flat, strict=True):
        assert (view.shape, side.shape, top.shape) == ((32, 32, 3), (32, 16, 3), (16, 32, 3))
        assert np.abs(view[:, 8:24].astype(int) - side).mean() < 4
        assert np.abs(view[8:24].astype(int) - top).mean() < 4
