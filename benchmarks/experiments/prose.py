"""What the page says besides its numbers."""

from __future__ import annotations

__all__ = ["COVARIATES", "DONE", "PAIRING", "READING", "SETS"]

DONE = """\
A shuffle puts the 30,000 clients of `../shared/data/credit_default.csv` (UCI, Yeh and Lien 2009)
into a random order. The first 10,000 train a logistic regression (scaled) and gradient boosting,
as `palio train` makes them, without the column ID. The other 20,000 are the requests.

- `ab`: a request goes to one of the versions, by `palio.bucketing.Split` of the client's id, half
  to each, and counts with the Brier score of the answer. `compare(horizon=20000)`.
- `ab` with CUPED: the same split, `cuped` with two covariates, then the same `compare`.
- `paired`: both versions score every request, and the difference of their Brier scores within it
  counts. `paired_loss`, then `compare_paired(horizon=20000)`.
- `paired`, horizon 2,000: the same, declared to end after a tenth of the requests. An addition to
  the three designs; no other horizon was tried.

Each design looks after every percent of its horizon, by the default rule (alpha = 0.05, any number
of looks), and has decided when its bounds exclude 0 for the first time, on either side. An
undecided run counts as its horizon. Labels come at once. The difference is gradient boosting less
logistic regression: below 0 boosting is better.

Seeds: the order is `numpy.random.default_rng([20261121, shuffle])`, the estimators' seed is the
number of the shuffle, the salt of the split `credit-<shuffle>`, and `credit-<shuffle>-1` to `-10`
for the other splits."""

READING = """\
How to read it:

- With the same horizon for all, the target is missed by a little, against the splits above and
  against the mean of ten others. With a horizon of its own `paired` is well within it. In variance
  a paired request is worth more than twenty of `ab` in every shuffle.
- The ratio of variances is taken at the last look, when each design has had the same 20,000
  requests: the squared standard error of the difference by `ab` over that by the design. No
  horizon cuts it off, so it is the cleaner figure: one paired request tells as much about the
  difference as that many requests of `ab`.
- The requests to decide are cut off: an undecided run would have needed more than it counts. This
  makes `ab` look better than it is.
- `paired` does not save as much in requests as in variance while it declares the same horizon. It
  decides after a few percent of it, where rule 1 asks for about one and a half times the z that
  it asks for at the end; and it looks every 200 requests only. Declare a horizon nearer to what a
  paired experiment needs, and it decides sooner: the row with a horizon of 2,000. There an
  undecided run would count as 2,000.
- CUPED changes little, and a single run may even take longer with it: it takes out a chance
  imbalance of the arms, which may have helped.
- The split alone moves `ab` by thousands of requests; the row of other splits shows the mean
  over many. All shuffles are of the same 30,000 clients, and two streams share about two thirds
  of theirs, so the spread of the shuffles is not that of independent experiments."""

COVARIATES = """\
A covariate must be known before the answer and must not depend on which version gives it. The
design above takes the score r of a reference model, and r (1 - r), the Brier score it expects: a
random forest (200 trees, leaves of 20 rows or more) that learnt from the same 10,000 rows and
answers nobody. It stands for the model that was there before. The other sets are what the client's
row says by itself. What is left is whether this client defaults, which nothing tells beforehand;
both versions meet it alike, and pairing takes most of it out. The same splits as above."""

SETS = {
    "reference": "r and r (1 - r) of the reference model (the design above)",
    "repayment": "repayment status of the last six months, `PAY_0` to `PAY_6`",
    "columns": "all 23 columns",
    "everything": "the reference model's and all columns",
}

PAIRING = """\
Pair only where the label does not depend on which version answered. Here the client had the card
already, and defaulted or not whatever a model said. Where the answer decides what happens it does
not hold: a rejected loan has no label, an offer that was not shown is not taken, a price changes
who buys. Then the label belongs to the version that answered, the other's score of it is no
evidence, and `ab` is the design. Pairing also costs a second prediction for every request, and
says nothing of latency or of what users do."""
