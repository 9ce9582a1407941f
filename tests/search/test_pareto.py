"""The Pareto front against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from search.pareto import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


def beats(a, b):
    return a[0] <= b[0] and a[1] <= b[1] and a != b


@given(POINTS)
def test_equals_brute_force(points):
    unbeaten = {point for point in points if not any(beats(other, point) for other in points)}
    front = pareto_front(points, key=lambda point: point)
    assert set(front) == unbeaten
    assert len(front) == len(unbeaten)
    assert front == sorted(front)
