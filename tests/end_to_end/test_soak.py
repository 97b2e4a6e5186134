"""The soak's own checks fail when they should, and a short one finds nothing wrong."""

from dataclasses import replace

import pytest

from benchmarks.soak import Plan, claims, soaked
from benchmarks.soak_asking import OURS, K, Known, Question, Sent, fault_of
from benchmarks.soak_service import growth
from tests import live_worlds

LIST = [f"i{n}" for n in range(K)]
NEW = f"{OURS}1"


def known() -> Known:
    of_one = {item: 1.0 - at / 100 for at, item in enumerate(LIST)}
    of_one["i10"] = of_one["i9"] - 1e-7
    of_other = {item: 1.0 - at / 100 for at, item in enumerate(LIST[::-1])}
    lists = {"ab": {"u1": of_one, "fed": of_one}, "cd": {"u1": of_other, "fed": of_one}}
    return Known(lists, hidden={"fed": ["i3", "i4"]}, sent={NEW})


def fault(items, named="ab", user="u1", filtered=False, hidden=0, of=None) -> str | None:
    asked = Sent(Question(user, filtered, 0.0), at=10.0, hidden=hidden)
    answer = {
        "bundle": {"fingerprint": named},
        "items": [{"id": item} for item in items],
        "shortfall_reason": None,
    }
    return fault_of(of or known(), asked, answer)


def test_the_list_of_the_bundle_that_is_named_is_right_and_no_other():
    assert fault(LIST) is None
    assert "wanted" in fault(LIST, named="cd")
    assert fault(LIST[::-1], named="cd") is None
    assert "no such bundle" in fault(LIST, named="ef")
    assert "9 items" in fault(LIST[:-1])
    assert "9 items" in fault([*LIST[:-1], LIST[0]])


def test_items_of_one_score_may_change_places_and_no_others():
    assert fault([*LIST[:-1], "i10"]) is None
    assert "wanted" in fault([*LIST[:-2], "i9", "i8"])
    assert "wanted" in fault([*LIST[:-1], "i11"])


def test_an_added_item_may_stand_anywhere_until_its_deletion_was_confirmed():
    mixed = [*LIST[:4], NEW, *LIST[4:-1]]
    assert fault(mixed) is None
    assert "pass the filter" in fault(mixed, filtered=True)
    assert "never sent" in fault([*LIST[:-1], f"{OURS}2"])
    assert fault(mixed, of=replace(known(), gone={NEW: 11.0})) is None
    assert "deleted before" in fault(mixed, of=replace(known(), gone={NEW: 9.0}))
    assert "wanted" in fault([LIST[1], LIST[0], NEW, *LIST[2:-1]])


def test_what_a_user_took_or_hid_before_asking_must_not_come_back():
    assert fault(LIST, user="fed", hidden=0) is None
    assert "'i3'] come back" in fault(LIST, user="fed", hidden=1)
    assert fault([i for i in LIST if i != "i3"] + ["z"], user="fed", hidden=1) is None


def test_growth_is_that_of_the_second_half():
    flat = [(float(t), 50.0 + max(0, 10 - t)) for t in range(40)]
    assert growth(flat)["mb"] == pytest.approx(0, abs=1e-9)
    rising = growth([(float(t), 100.0 + t) for t in range(41)])
    assert rising["mb"] == pytest.approx(20) and rising["mb_an_hour"] == pytest.approx(3600)
    assert growth([(0.0, 1.0)])["share"] == 0


def sound() -> dict:
    kept = {"confirmed": 5, "lost": 0, "twice": 0, "unasked": 0}
    shown = {"worker 0": 0, "worker 1": 0}
    return {
        "wrong": 0, "lists": {"ab": 1, "cd": 1}, "kills": 1, "logged": {"Child 1 died": 1},
        "feedback": kept, "feedback_after_restart": kept, "items_missing": shown,
        "items_missing_after_restart": shown, "error_rate": 0.0, "batches_forgotten": 0,
        "memory": memory(0.0, 100.0),
    }  # fmt: skip


def memory(share: float, oldest: float) -> dict:
    held = {"oldest_mb": {"last": oldest}, "youngest_mb": {"last": 100.0}}
    return {"oldest_second_half": {"share": share}, **held}


@pytest.mark.parametrize(
    ("field", "value", "broken"),
    [
        ("wrong", 1, "no wrong answer"),
        ("lists", {"ab": 2}, "no wrong answer"),
        ("feedback", {"lost": 0, "twice": 1, "unasked": 0}, "no lost feedback"),
        ("feedback_after_restart", {"lost": 1, "twice": 0, "unasked": 0}, "no lost feedback"),
        ("batches_forgotten", 1, "no lost feedback"),
        ("items_missing", {"worker 0": 0}, "no lost item"),
        ("items_missing_after_restart", {"worker 0": 0, "worker 1": 1}, "no lost item"),
        ("error_rate", 2e-5, "few errors"),
        ("logged", {"Child 1 died": 1, "watching failed": 1}, "nothing else died"),
        ("memory", memory(0.1, 100.0), "memory flat"),
        ("memory", memory(0.0, 110.0), "no more memory than a new worker"),
    ],
)
def test_each_claim_can_fail(field, value, broken):
    assert all(claims(sound()).values())
    assert [name for name, held in claims(sound() | {field: value}).items() if not held] == [broken]


@pytest.mark.slow
def test_a_short_soak_finds_nothing_wrong(tmp_path):
    shop = live_worlds.Shop(tmp_path)
    config = shop.write()
    made = live_worlds.run(tmp_path / "made", config)
    longer = config.train.model_copy(update={"epochs": 6})
    live_worlds.run(tmp_path / "made", config.model_copy(update={"train": longer}))
    plan = Plan(seconds=4, swap_every=1.5, kill_every=2.5, finding=1, share=0.3)
    record = soaked(made.store.root, plan, tmp_path / "soak")
    held = claims(record)
    # Seconds say nothing about memory, and a busy machine may turn some away.
    for name in ("memory flat", "no more memory than a new worker", "few errors"):
        del held[name]
    assert all(held.values()), (record["wrong_first"], record)
    assert record["lost_otherwise"] == 0
    assert record["kills"] and record["swaps"] >= 2
    assert record["feedback"]["confirmed"] and record["items"]["added"]
