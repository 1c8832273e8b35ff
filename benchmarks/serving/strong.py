"""The same with care: the pipeline was converted and runs in onnxruntime, on one thread."""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel
from running import run

OPTIONS = onnxruntime.SessionOptions()
OPTIONS.intra_op_num_threads = 1
SESSION = onnxruntime.InferenceSession(sys.argv[1], OPTIONS, providers=["CPUExecutionProvider"])
app = FastAPI()


class Asked(BaseModel):
    """Rows in feature order."""

    rows: list[list[float]]


class Told(BaseModel):
    """One value a row, and the probabilities of all classes."""

    predictions: list[int]
    probabilities: list[list[float]]


@app.post("/predict")
async def predict(asked: Asked) -> Told:
    """Answer rows."""
    values, probabilities = SESSION.run(None, {"X": np.array(asked.rows, dtype=np.float32)})
    return Told(predictions=values.tolist(), probabilities=probabilities.tolist())


if __name__ == "__main__":
    run(app)
