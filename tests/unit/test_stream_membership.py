"""How partitions are dealt out among the members of a group."""

from hypothesis import given
from hypothesis import strategies as st

from stream.log import Topic
from stream.membership import Member, assignment

member_sets = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=6),
    st.tuples(st.floats(0, 1e6), st.sets(st.sampled_from(["risks", "health", "frames"]), min_size=1)),
    max_size=6,
)
partition_counts = st.dictionaries(st.sampled_from(["risks", "health", "frames"]), st.integers(1, 12))


def members(given: dict[str, tuple[float, set[str]]]) -> dict[str, Member]:
    return {name: Member("host", 1, sorted(topics), joined, joined) for name, (joined, topics) in given.items()}


@given(member_sets, partition_counts)
def test_each_partition_goes_to_one_who_reads_its_topic(
    who: dict[str, tuple[float, set[str]]], partitions: dict[Topic, int]
) -> None:
    group = members(who)
    dealt = assignment(group, partitions)
    for topic, count in partitions.items():
        readers = [name for name, member in group.items() if topic in member.topics]
        names = [f"{topic}/{number}" for number in range(count)]
        if not readers:
            assert not any(name in dealt for name in names)
            continue
        owners = [dealt[name] for name in names]
        assert set(owners) <= set(readers)
        shares = [owners.count(name) for name in readers]
        assert max(shares) - min(shares) <= 1, "shared evenly"


@given(member_sets, partition_counts)
def test_everybody_comes_to_the_same(who: dict[str, tuple[float, set[str]]], partitions: dict[Topic, int]) -> None:
    backwards = dict(reversed(list(members(who).items())))
    assert assignment(members(who), partitions) == assignment(backwards, partitions)
