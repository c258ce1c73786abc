"""The asyncio face of a database with all services of its member."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.program.blocking.database import Database

__all__ = ["Database"]
