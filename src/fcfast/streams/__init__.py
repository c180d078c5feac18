"""Samples that arrive in blocks of rows: more of them than memory holds, read again in every epoch."""

from fcfast.streams.base import Block, Stream
from fcfast.streams.parquet import ParquetStream
from fcfast.streams.svmlight import SvmlightStream

__all__ = ["Block", "ParquetStream", "Stream", "SvmlightStream"]
