"""Maximum mean discrepancy by a double loop, in float64."""

import numpy as np

KERNELS = {
    "rbf": lambda squared, c: np.exp(-squared / c),
    "imq": lambda squared, c: sum(s * c / (s * c + squared) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)),
}


def slow_mmd(x, y, kernel, variance):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)

    def k(a, b):
        return KERNELS[kernel](((a - b) ** 2).sum(), 2 * len(a) * variance)

    def within(points):
        n = len(points)
        pairs = [k(points[i], points[j]) for i in range(n) for j in range(n) if i != j]
        return sum(pairs) / (n * (n - 1))

    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])
