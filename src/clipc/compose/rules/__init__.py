"""An expert's rules on what may be composed: a YAML file that is checked before anything runs."""
