"""Time series: codecs, rows, sealing, reading."""
