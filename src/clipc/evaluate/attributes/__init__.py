"""Words for attributes in captions, which noun each belongs to, and captions in which two of them are exchanged."""
