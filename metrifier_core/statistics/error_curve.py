"""A worker's errors among the images that a score discards first: AUROC, AUGRC and the error rate on the rest."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SortedErrors:
    """Workers' errors in the order of a score, sorted once so that a curve under any weights takes linear time.

    Attributes:
        order: Rows from the lowest score to the highest, (N,).
        bounds: Where each of T groups of tied scores begins in `order`, and the end of the last, (T + 1,).
        wrong: 1 where a worker is wrong and 0 where it is right, in that order, (W, N).
    """

    order: NDArray[np.intp]
    bounds: NDArray[np.intp]
    wrong: NDArray[np.float32]

    @classmethod
    def of(cls, score: NDArray[np.float64], right: NDArray[np.bool_]) -> Self:
        """Sort the answers of workers (W, N) by a score (N,) that is higher for what is trusted more."""
        order = np.argsort(score, kind="stable")
        # Not by differences: infinity is a score too.
        begins = np.flatnonzero(score[order][1:] != score[order][:-1]) + 1
        return cls(order, np.concatenate([[0], begins, [len(score)]]), (~right[:, order]).astype(np.float32))

    def curve(self, copies: NDArray[np.float64]) -> "ErrorCurve":
        """Add up rows and errors from the lowest score to the highest, each row as often as copies (N,) say."""
        copies = copies[self.order]
        # Whole numbers all the way: no sum depends on the order of the rows.
        sums = np.zeros((1 + len(self.wrong), len(copies) + 1))
        np.cumsum(copies, out=sums[0, 1:])
        np.cumsum(self.wrong * copies, axis=1, out=sums[1:, 1:])
        at_bounds = sums[:, self.bounds]
        return ErrorCurve(at_bounds[0], at_bounds[1:])


@dataclass(frozen=True)
class ErrorCurve:
    """Errors among the rows that a score discards first, joined by straight lines.

    The lines are straight between two different scores: the average over all orders of tied rows. Rows that were drawn
    several times count as often.

    Attributes:
        discarded: Number of rows discarded, from 0 to all of them, (T + 1,).
        errors: Errors of each of W workers among these, (W, T + 1).
    """

    discarded: NDArray[np.float64]
    errors: NDArray[np.float64]

    def auroc(self) -> NDArray[np.float64]:
        """Compute the area under the receiver operating characteristic of the score for the worker being right.

        It is the probability that a row on which the worker is right scores higher than one on which it is wrong, ties
        counted as one half (Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982).

        Returns:
            Areas in [0, 1], (W,), higher is better, 0.5 is chance; NaN for a worker that is always or never right.
        """
        wrong = self.errors[:, -1]
        pairs = wrong * (self.discarded[-1] - wrong)
        ordered = self._doubled_area() - wrong**2  # right rows above each error: all above it minus the errors
        return np.asarray(np.divide(ordered, 2 * pairs, out=np.full(len(wrong), np.nan), where=pairs > 0))

    def augrc(self) -> NDArray[np.float64]:
        """Compute the area under the generalized risk-coverage curve.

        The generalized risk at coverage c is the probability that a row is among the share c that the score trusts
        most and that the worker is wrong on it; its area over c from 0 to 1 is the mean risk of undetected errors.
        Source: Traub et al., "Overcoming Common Flaws in the Evaluation of Selective Classification Systems", NeurIPS
        2024 (arXiv 2407.01032).

        Returns:
            Areas in [0, 0.5], (W,), lower is better: half of the worker's error rate for a random score, half of its
            square for a perfect one.
        """
        rows = self.discarded[-1]
        return np.asarray((2 * rows * self.errors[:, -1] - self._doubled_area()) / (2 * rows**2))

    def error_on_kept(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the workers' error rates (W, D) on the rest when shares (D,), in [0, 1), of the rows are discarded.

        Source: Grother and Tabassi, "Performance of Biometric Quality Measures", 2007, which calls it
        error-versus-reject.
        """
        rows = self.discarded[-1]
        amounts = shares * rows
        after = np.searchsorted(self.discarded, amounts, side="right")
        below, above = self.errors[:, after - 1], self.errors[:, after]
        part = (amounts - self.discarded[after - 1]) / (self.discarded[after] - self.discarded[after - 1])
        errors = below + part * (above - below)
        return np.asarray((self.errors[:, -1:] - errors) / (rows - amounts))

    def _doubled_area(self) -> NDArray[np.float64]:
        """Return twice the area below each curve, (W,): for each error the rows at or above it, ties half."""
        return np.asarray((self.errors[:, 1:] + self.errors[:, :-1]) @ np.diff(self.discarded))
