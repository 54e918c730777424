"""Ranks inside groups, under any number of copies of each row: the basis of every rank correlation."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_MIN_VERSIONS = 3


@dataclass(frozen=True)
class GroupedRanks:
    """Columns sorted once inside each group, so that they can be ranked under any weights in linear time.

    Average ranks under integer weights are those of a table that repeats each row that many times.
    """

    rows: NDArray[np.intp]  # (N,) the rows sorted by group; places below count in this order
    group: NDArray[np.intp]  # (N,) group at each place
    edges: NDArray[np.intp]  # (G + 1,) where each group begins, and the end of the last
    order: NDArray[np.intp]  # (K, N) places sorted by group and then by the value of each column
    ties_begin: NDArray[np.intp]  # (K, N) where the ties of each place begin in `order`, flat in (K, N + 1)
    ties_end: NDArray[np.intp]  # (K, N) where they end, exclusive

    @classmethod
    def of(cls, columns: NDArray[np.float64], group: NDArray[np.intp]) -> Self:
        """Sort columns (K, N) within groups (N,), numbered from 0 without gaps."""
        rows = np.argsort(group, kind="stable")
        group, size = group[rows], len(rows)
        group_begins = np.diff(group, prepend=-1) != 0
        edges = np.append(np.flatnonzero(group_begins), size)
        order, ties_begin, ties_end = np.empty((3, *columns.shape), dtype=np.intp)
        for index, column in enumerate(columns[:, rows]):
            places = np.lexsort((column, group))
            begins = group_begins.copy()
            begins[1:] |= column[places[1:]] != column[places[:-1]]
            bounds = np.append(np.flatnonzero(begins), size) + index * (size + 1)
            tie = np.cumsum(begins) - 1
            order[index] = places
            ties_begin[index, places] = bounds[tie]
            ties_end[index, places] = bounds[tie + 1]
        return cls(rows, group, edges, order, ties_begin, ties_end)

    def correlations(self, weights: NDArray[np.float64], targets: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Correlate each of the first T = `targets` columns with each of the others in every group.

        The weights (N,) are whole numbers: how often each row is repeated. Returns Spearman's rho, (T, K - T, G), 0 for
        constant columns; and in which groups each target counts, (T, G).
        """
        weights = weights[self.rows]
        copies_before = np.zeros((len(self.order), len(weights) + 1))
        np.cumsum(weights[self.order], axis=1, out=copies_before[:, 1:])
        group_bounds = copies_before[0, self.edges]
        middle = group_bounds[:-1] + group_bounds[1:]
        flat = copies_before.ravel()
        # Twice the distance from the group's mean rank: whole numbers, so that no sum depends on row order.
        rank = flat[self.ties_begin] + flat[self.ties_end] - middle[self.group]
        weighted = rank * weights
        starts = self.edges[:-1]
        variance = np.add.reduceat(weighted * rank, starts, axis=1)
        # One target at a time, so that all products of one fit into a processor's cache.
        covariance = np.stack([np.add.reduceat(weighted[targets:] * one, starts, axis=1) for one in rank[:targets]])
        versions = np.add.reduceat(weights > 0, starts, dtype=np.intp)
        counts = (versions >= _MIN_VERSIONS) & (variance[:targets] > 0)
        scale = np.sqrt(variance[:targets, None] * variance[targets:])
        return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0), counts
