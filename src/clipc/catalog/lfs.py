"""Git LFS pointers: short texts that stand for the files themselves in a clone made without Git LFS."""

_BEGINNING = b"version https://git-lfs.github.com/spec/v"

LFS_POINTER = "is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository"
"""What is wrong with such a file, for messages that name it."""


def is_lfs_pointer(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a pointer."""
    return head.startswith(_BEGINNING)
