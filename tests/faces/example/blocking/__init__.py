"""The example that blocks."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from tests.faces.example.blocking.counting import Counter, Step, open_counter

__all__ = ["Counter", "Step", "open_counter"]
