"""What this project serves over HTTP, on loopback unless told otherwise. Extra ``[web]``."""
