"""Sound becomes the rows that a model takes: files in WAV, and samples as numbers.

Files are WAV with PCM of 8, 16, 24 or 32 bits, any rate and number of channels: channels are
averaged, values scaled to [-1, 1], and the rate made the model's by straight lines between
samples. Where a model takes a piece of fixed length, it gets the beginning; what is shorter is
filled up with silence.
"""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from palio.errors import InvalidInput
from palio.registry.signature import Signature

__all__ = ["flat", "row_of", "samples_of"]

_BYTES_16, _BYTES_24 = 2, 3
_MOST_SAMPLES = 20_000_000  # of one channel: a quarter of an hour at 22,050 a second


def samples_of(content: bytes, rate: int) -> list[float]:
    """Return the samples of a WAV file at a rate.

    Parameters
    ----------
    content
        The file.
    rate
        Samples a second that are wanted.

    Raises
    ------
    InvalidInput
        If it is no such file, or holds no sound.
    """
    try:
        with wave.open(io.BytesIO(content)) as sound:
            channels, width = sound.getnchannels(), sound.getsampwidth()
            own, frames = sound.getframerate(), sound.readframes(sound.getnframes())
    except (wave.Error, EOFError, ValueError, ZeroDivisionError) as unreadable:
        raise _refused(f"it is no WAV file of PCM samples: {unreadable}") from unreadable
    usable = len(frames) // (channels * width) * channels * width
    if not usable or own < 1:
        raise _refused("it holds no sound")
    values = _scaled(frames[:usable], width).reshape(-1, channels).mean(axis=1)
    wanted = max(1, round(len(values) * rate / own))
    if wanted > _MOST_SAMPLES:
        raise _refused(f"it is {len(values) / own:.0f} s long")
    at = np.arange(wanted) * (own / rate)
    resampled: list[float] = np.interp(at, np.arange(len(values)), values).tolist()
    return resampled


def flat(audio: Any) -> list[float]:
    """Return an array of samples, of whatever shape, as a flat list of numbers."""
    try:
        samples = np.asarray(audio, dtype=np.float64).ravel()
    except (TypeError, ValueError) as odd:
        raise InvalidInput(
            f"audio_data: {odd}; give an array of numbers", field="audio_data"
        ) from odd
    if not samples.size or not np.isfinite(samples).all():
        raise InvalidInput(
            "audio_data is empty or holds what is no finite number", field="audio_data"
        )
    found: list[float] = samples.tolist()
    return found


def row_of(signature: Signature | None, samples: list[float]) -> object:
    """Return samples as a row of what a version takes."""
    if signature is None or len(signature.features) != 1:
        return samples
    [feature] = signature.features
    if feature.size is None:
        return samples
    silence = [0.0] * (feature.size - len(samples))
    return {feature.name: samples[: feature.size] + silence}


def _scaled(frames: bytes, width: int) -> Any:
    """Return PCM samples as numbers in [-1, 1]."""
    if width == 1:  # the only one that is unsigned
        return (np.frombuffer(frames, np.uint8).astype(np.float64) - 128) / 128
    if width == _BYTES_24:
        padded = np.zeros((len(frames) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        return padded.ravel().view("<i4").astype(np.float64) / 2**31
    kind = "<i2" if width == _BYTES_16 else "<i4"
    return np.frombuffer(frames, kind).astype(np.float64) / 2.0 ** (8 * width - 1)


def _refused(why: str) -> InvalidInput:
    return InvalidInput(
        f"the audio file cannot be taken: {why}; send WAV with PCM of 8, 16, 24 or 32 bits",
        field="file",
    )
