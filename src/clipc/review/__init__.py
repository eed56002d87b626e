"""The local page on which experts accept or reject composites, and the rules that their decisions suggest."""
