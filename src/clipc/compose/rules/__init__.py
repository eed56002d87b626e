"""An expert's rules on what may be composed, written in a YAML file that is checked before anything runs."""
