"""The built-in demo set: generated images of factory parts with captions in English or Japanese."""

from clipc.demo.demo import LANGUAGES, VERSION, make_demo

__all__ = ["LANGUAGES", "VERSION", "make_demo"]
