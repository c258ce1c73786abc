"""The packages of the extra `roost[series]`; nothing else of Roost imports them.

numpy  columns of numbers, and what is computed of them
pco    pcodec, which makes columns small (docs/decisions/0017-series-are-blocks.md)
"""

from typing import TypeAlias

from roost.extras import command_for
from roost.series.errors import SeriesUnavailable

try:
    import numpy as np
    from numpy.typing import NDArray
    from pcodec import ChunkConfig, DeltaSpec, standalone
except ImportError as error:
    raise SeriesUnavailable(
        f"time series need numpy and pcodec, and {error.name} is not installed where the member "
        f"runs: {command_for('series')}, and start it again"
    ) from error

__all__ = ["ChunkConfig", "DeltaSpec", "Floats", "Ints", "Mask", "NDArray", "np", "standalone"]

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
