"""The example for asyncio."""

from tests.faces.example.aio.counting import Counter, Step, open_counter

__all__ = ["Counter", "Step", "open_counter"]
