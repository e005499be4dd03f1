"""Rates, and how much of a flood is written down."""

from __future__ import annotations

import pytest

from racksalt.limits import Recent, Sampler, TokenBuckets


def test_a_bucket_grants_its_burst_then_its_rate():
    """After the burst, one request per 1/rate seconds is granted, and the wait is told."""
    buckets = TokenBuckets(rate_per_s=2, burst=3)
    assert [buckets.wait_s("a", 0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait_s("a", 0.25) == pytest.approx(0.25)
    assert buckets.wait_s("a", 0.5) == 0
    assert buckets.wait_s("a", 0.5) > 0


def test_keys_do_not_share_a_bucket():
    """What one source uses up is not taken from another."""
    buckets = TokenBuckets(rate_per_s=1, burst=1)
    assert buckets.wait_s("a", 0) == 0
    assert buckets.wait_s("b", 0) == 0
    assert buckets.wait_s("a", 0) == 1


def test_a_clock_that_steps_back_takes_nothing_away():
    """Time never runs backwards for a bucket."""
    buckets = TokenBuckets(rate_per_s=1, burst=2)
    assert buckets.wait_s("a", 100) == 0
    assert buckets.wait_s("a", 50) == 0


def test_the_number_of_buckets_is_bounded():
    """A flood of sources forgets the longest silent, so memory stays bounded."""
    buckets = TokenBuckets(rate_per_s=1, burst=1, max_keys=2)
    for key in ("a", "b", "c"):
        assert buckets.wait_s(key, 0) == 0
    assert len(buckets._levels) == 2
    assert buckets.wait_s("c", 0) == 1


def test_a_sampler_admits_its_limit_and_counts_the_rest():
    """Within one window the limit is admitted; the summary tells how many were not."""
    sampler = Sampler(2, window_s=60)
    assert [sampler.admit("a", 0) for _ in range(5)] == [True, True, False, False, False]
    assert sampler.passed(59) == []
    assert sampler.passed(60) == [("a", 3)]
    assert sampler.passed(61) == []
    assert sampler.admit("a", 61)


def test_a_window_without_anything_left_out_needs_no_summary():
    """A quiet node's window ends by itself."""
    sampler = Sampler(1, window_s=60)
    assert sampler.admit("a", 0)
    assert sampler.active("a", 59)
    assert not sampler.active("a", 60)
    assert sampler.admit("a", 60)
    assert sampler.passed(300) == []


def test_a_sampler_is_bounded():
    """Beyond its keys it admits nothing new, so a flood of keys cannot fill memory or journal."""
    sampler = Sampler(1, window_s=60, max_keys=2)
    assert [sampler.admit(key, 0) for key in ("a", "b", "c")] == [True, True, False]
    sampler.passed(60)
    assert sampler.admit("c", 60)


def test_what_is_recent_is_known_for_its_window():
    """The same value within the window is no news; another one is, and so is the same one later."""
    recent = Recent(window_s=60)
    assert not recent.same("a", 1, 0)
    recent.keep("a", 1, 0)
    assert recent.same("a", 1, 59)
    assert not recent.same("a", 2, 59)
    assert not recent.same("b", 1, 59)
    assert not recent.same("a", 1, 60)


def test_what_is_remembered_is_bounded():
    """A flood of keys forgets the oldest."""
    recent = Recent(window_s=60, max_keys=2)
    for key in ("a", "b", "a", "c"):
        recent.keep(key, 1, 0)
    assert [recent.same(key, 1, 0) for key in ("a", "b", "c")] == [True, False, True]
