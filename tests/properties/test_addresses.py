"""Address management, whatever the ranges and whoever comes and goes; and the patterns of conduits."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from racksalt.model.conduit import Expected, in_order, parse_pattern, pick, told_speed
from racksalt.model.errors import InvalidInputError
from racksalt.model.place import Network, Range
from racksalt.network.allocate import Need, allocate
from racksalt.network.pools import Pool, may_keep

SUBNETS = {4: "10.0.0.0/27", 6: "fd00::/123"}
USES = ("reservations", "excluded", "discovery")


@st.composite
def networks(draw):
    """Return a small network of one family with ranges anywhere in it, also such as a site's checks would refuse."""
    family = draw(st.sampled_from((4, 6)))
    hosts = list(ip_network(SUBNETS[family]))
    index = st.integers(0, len(hosts) - 1)
    ranges = []
    for number in range(draw(st.integers(0, 4))):
        first, last = sorted((draw(index), draw(index)))
        use = draw(st.sampled_from(USES))
        ranges.append(
            Range(name=str(number), first=str(hosts[first]), last=str(hosts[last]), use=use)
        )
    key = f"_v{family}"
    fields = {f"cidr{key}": SUBNETS[family], f"gateway{key}": str(hosts[draw(index)])}
    return family, Network(name="n", purpose="provisioning", ranges=tuple(ranges), **fields)


def right(network, family):
    """Return the addresses that nodes may get, worked out one by one."""
    subnet = ip_network(SUBNETS[family])
    gateway = ip_address(network.gateway_v4 or network.gateway_v6)
    barred = {subnet.network_address, gateway}
    barred |= {subnet.broadcast_address} if family == 4 else set()

    def within(one, *uses):
        return any(
            ip_address(it.first) <= one <= ip_address(it.last)
            for it in network.ranges
            if it.use in uses
        )

    return {
        str(one)
        for one in subnet
        if within(one, "reservations")
        and not within(one, "excluded", "discovery")
        and one not in barred
    }


@given(networks(), st.integers(0, 40), st.sets(st.integers(0, 31)))
def test_a_pool_gives_each_right_free_address_once(case, held, taken):
    """All of them, none twice, none that is taken, wherever the search begins."""
    family, network = case
    hosts = list(ip_network(SUBNETS[family]))
    busy = {str(hosts[n]) for n in taken}
    pool = Pool(network, family, held, lambda some: busy & set(some))
    given_out = list(iter(pool.take, None))
    assert len(given_out) == len(set(given_out))
    assert set(given_out) == right(network, family) - busy
    assert all(may_keep(network, one) for one in given_out)


STEPS = st.lists(st.tuples(st.integers(0, 11), st.sampled_from(("comes", "again", "leaves"))))


@settings(max_examples=60)
@given(networks(), STEPS)
def test_nodes_that_come_and_go_share_nothing_and_keep_theirs(case, steps):
    """No address has two nodes; a node keeps its own; one goes without only when all are taken."""
    family, network = case
    rows = {}
    for number, what in steps:
        node = f"n{number}"
        held = [row for row in rows.values() if row.node == node]
        pool = Pool(
            network,
            family,
            len(rows),
            lambda some: {it.address for it in rows.values()} & set(some),
        )
        needs = [] if what == "leaves" else [Need(network=network, family=family, nic=node)]
        outcome = allocate(node, needs, held, lambda _net, _fam, pool=pool: pool.take())
        for row in outcome.gone:
            del rows[row.id]
        for row in outcome.put:
            assert rows.get(row.id) is None
            rows[row.id] = row
        mine = [row for row in rows.values() if row.node == node]
        assert len(mine) == (0 if outcome.lacking or not needs else 1)
        if held and needs:
            assert mine == held
        if outcome.lacking:
            assert right(network, family) <= {row.address for row in rows.values()}


SPEEDS = st.sampled_from((None, 100, 1000, 2500, 10_000, 25_000))
PORTS = st.lists(
    st.builds(Expected, st.from_regex(r"e[a-c][0-9]{1,2}", fullmatch=True), SPEEDS),
    unique_by=lambda it: it.name,
)
FITS = {"": int.__eq__, "+": int.__ge__, "-": int.__le__, "?": lambda _speed, _wanted: True}


@given(PORTS, st.sampled_from("+-?") | st.just(""), st.sampled_from((100, 1000, 2500, 10_000)))
def test_positions_count_each_fitting_nic_once(ports, sign, speed):
    """From 1 on, without a gap, in the order of names (by distance from the speed for ``?``)."""
    ordered = in_order(ports)
    texts = [f"{sign}{told_speed(speed)}{n}" for n in range(1, len(ports) + 2)]
    found = [pick(parse_pattern(text), ordered) for text in texts]
    fitting = [it for it in ordered if it.speed_mbps and FITS[sign](it.speed_mbps, speed)]
    assert found[: len(fitting)] == fitting or sign == "?"
    assert sorted(it.name for it in found if it) == sorted(it.name for it in fitting)
    assert found[len(fitting) :] == [None] * (len(texts) - len(fitting))


@given(PORTS)
def test_the_order_of_nics_is_that_of_the_numbers_in_their_names(ports):
    """However they are listed; e2 comes before e10."""
    assert in_order(ports[::-1]) == in_order(ports)
    for letter in "abc":
        numbers = [int(it.name[2:]) for it in in_order(ports) if it.name[1] == letter]
        assert numbers == sorted(numbers)


@given(st.text(max_size=12))
def test_any_text_is_a_pattern_or_refused_with_a_hint(text):
    """Nothing else can happen to it."""
    hint = "none"
    try:
        pattern = parse_pattern(text)
    except InvalidInputError as error:
        pattern, hint = None, error.hint
    assert hint
    assert pattern is None or (pattern.place >= 1 and (pattern.speed_mbps or 0) >= 0)
