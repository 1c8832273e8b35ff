"""What people write: FastAPI, pydantic and a pickled scikit-learn pipeline.

The handler is a coroutine: with one core a thread for each request would only be slower.
"""

from __future__ import annotations

import sys

import joblib
from fastapi import FastAPI
from pydantic import BaseModel
from running import run

MODEL = joblib.load(sys.argv[1])
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
    probabilities = MODEL.predict_proba(asked.rows)
    values = MODEL.classes_[probabilities.argmax(axis=1)]
    return Told(predictions=values.tolist(), probabilities=probabilities.tolist())


if __name__ == "__main__":
    run(app)
