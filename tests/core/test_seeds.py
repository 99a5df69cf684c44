from __future__ import annotations

from tunesmith.core.seeds import derived_seed, generator


def test_a_seed_is_the_same_on_every_machine_and_in_every_version():
    # A change here changes the configs of every experiment that is resumed.
    assert derived_seed(0, "config", 0) == 15646496154977503009
    assert generator(7, "config", 3).random() == 0.9044453489596231


def test_each_purpose_and_number_has_a_stream_of_its_own():
    keys = [(seed, purpose, number) for seed in range(5) for purpose in ("a", "b") for number in range(100)]

    assert len({derived_seed(*key) for key in keys}) == len(keys)


def test_bits_bound_the_seed():
    assert all(0 <= derived_seed(1, "numpy", number, bits=32) < 2**32 for number in range(1000))
    assert max(derived_seed(1, "numpy", number, bits=32) for number in range(100)) > 2**30


def test_a_generator_is_fresh_each_time():
    assert generator(1, "x", 2).random() == generator(1, "x", 2).random()
