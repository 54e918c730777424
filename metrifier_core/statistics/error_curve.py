"""How a worker's errors gather among the images that a score puts last: AUROC, AUGRC and error on what is kept."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SortedErrors:
    """Workers' errors in the order of a score, sorted once so that curves under any weights take linear time.

    Attributes:
        order: (N,) rows from the lowest score to the highest.
        bounds: (T + 1,) where each of T groups of tied scores begins in `order`, and the end of the last.
        wrong: (W, N) in that order, 1 where a worker is wrong and 0 where it is right.
    """

    order: NDArray[np.intp]
    bounds: NDArray[np.intp]
    wrong: NDArray[np.float32]

    @classmethod
    def of(cls, score: NDArray[np.float64], right: NDArray[np.bool_]) -> Self:
        """Sorts the answers of workers (W, N) by a score (N,), which is higher for what is trusted more."""
        order = np.argsort(score, kind="stable")
        # Not by differences: infinity is a score too.
        begins = np.flatnonzero(score[order][1:] != score[order][:-1]) + 1
        bounds = np.concatenate([[0], begins, [len(score)]])
        return cls(order, bounds, (~right[:, order]).astype(np.float32))

    def curve(self, copies: NDArray[np.float64]) -> "ErrorCurve":
        """Adds up rows and errors from the lowest score to the highest; copies (N,) say how often each row counts."""
        own = copies[self.order]
        # Whole numbers all the way: no sum depends on the order of the rows.
        sums = np.zeros((1 + len(self.wrong), len(own) + 1))
        np.cumsum(own, out=sums[0, 1:])
        np.cumsum(self.wrong * own, axis=1, out=sums[1:, 1:])
        at_bounds = sums[:, self.bounds]
        return ErrorCurve(at_bounds[0], at_bounds[1:])


@dataclass(frozen=True)
class ErrorCurve:
    """Errors among the rows that a score discards first, joined by straight lines.

    Between two scores that differ the lines never bend, which is what discarding tied rows in a random order comes to
    on average. Rows that were drawn several times count as often.

    Attributes:
        discarded: (T + 1,) number of rows discarded, from 0 to all of them.
        errors: (W, T + 1) errors of each of W workers among these.
    """

    discarded: NDArray[np.float64]
    errors: NDArray[np.float64]

    def auroc(self) -> NDArray[np.float64]:
        """Computes the area under the receiver operating characteristic of the score for the worker being right.

        It is the probability that a row on which the worker is right scores higher than one on which it is wrong, ties
        counted as one half (Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982).

        Returns:
            (W,) in [0, 1], higher is better, .5 is chance; NaN for a worker that is always or never right.
        """
        wrong = self.errors[:, -1]
        pairs = wrong * (self.discarded[-1] - wrong)
        # The right rows above each error, half of its ties: all rows above it less the errors above it.
        ordered = self._doubled_area() - wrong**2
        return np.asarray(np.divide(ordered, 2 * pairs, out=np.full(len(wrong), np.nan), where=pairs > 0))

    def augrc(self) -> NDArray[np.float64]:
        """Computes the area under the generalized risk-coverage curve.

        The generalized risk at coverage c is the probability that a row is among the share c that the score trusts
        most and that the worker is wrong on it; its area over c from 0 to 1 is the mean risk of undetected errors.
        Source: Traub et al., "Overcoming Common Flaws in the Evaluation of Selective Classification Systems", NeurIPS
        2024 (arXiv 2407.01032).

        Returns:
            (W,) in [0, .5], lower is better. Of a score that knows nothing it is half of the worker's error rate, of a
            perfect one half of its square.
        """
        rows = self.discarded[-1]
        missed = 2 * rows * self.errors[:, -1] - self._doubled_area()
        return np.asarray(missed / (2 * rows**2))

    def error_on_kept(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Computes the worker's error rate on what is left when the rows that score lowest are discarded.

        Source: Grother and Tabassi, "Performance of Biometric Quality Measures", 2007, which calls it
        error-versus-reject.

        Args:
            shares: (D,) shares of the rows to discard, in [0, 1).

        Returns:
            (W, D) error rates in [0, 1].
        """
        rows = self.discarded[-1]
        amounts = shares * rows
        after = np.searchsorted(self.discarded, amounts, side="right")
        below, above = self.errors[:, after - 1], self.errors[:, after]
        part = (amounts - self.discarded[after - 1]) / (self.discarded[after] - self.discarded[after - 1])
        errors = below + part * (above - below)
        return np.asarray((self.errors[:, -1:] - errors) / (rows - amounts))

    def _doubled_area(self) -> NDArray[np.float64]:
        """Adds up twice the area below each curve, (W,): for each error the rows at or above it, ties half."""
        return np.asarray((self.errors[:, 1:] + self.errors[:, :-1]) @ np.diff(self.discarded))
