"""The asyncio face of a database with all services of its member."""

from roost.program.aio.database import Database

__all__ = ["Database"]
