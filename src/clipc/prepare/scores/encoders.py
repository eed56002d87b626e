"""What a scorer needs of a model: embeddings of halves, of composites, of captions, and of joint captions."""

from typing import Protocol

from clipc.compose.arrays import Bytes, Float32s, Int32s, Int64s
from clipc.compose.plan import Plans
from clipc.prepare.scores.composites import Composites


class CompositeEncoder(Protocol):
    """Embeds composites and their parts as unit vectors of D numbers; all arrays are ``float32``."""

    @property
    def scale(self) -> float:
        """The model's inverse temperature."""
        ...

    @property
    def fingerprint(self) -> str:
        """What the embeddings depend on, the pairs apart."""
        ...

    def halves(self, plans: Plans, rows: Int32s, layouts: Bytes) -> Float32s:
        """What composites show of single images.

        Args:
            plans: The plans with the pairs.
            rows: Catalog rows, shape (m,).
            layouts: The shape of the composite that shows each of them, shape (m,).

        Returns:
            Shape (m, D).
        """
        ...

    def images(self, plans: Plans, composites: Composites) -> Float32s:
        """The images of composites, shape (m, D)."""
        ...

    def captions(self, plans: Plans, entries: Int64s) -> Float32s:
        """Captions, by their entries, shape (m, D)."""
        ...

    def joint_captions(self, plans: Plans, composites: Composites) -> Float32s:
        """The joint captions of composites, shape (m, D)."""
        ...
