from __future__ import annotations

from dataclasses import replace

import pytest

from graphql_api.lookup import canonical


def test_the_topology_is_answered_from_zones_down_to_addresses(rig):
    """Zones → racks → nodes → NICs → addresses, each linked both ways."""
    found = rig.ask(
        "{zones{name nodeCount racks{name zone{name} nodes{id nics{mac addresses{address family kind "
        "network{name addressCount} nic{mac} node{id}}}}}}}"
    )["zones"]
    assert [zone["name"] for zone in found] == ["z1", "z2"]
    nodes = [node for zone in found for rack in zone["racks"] for node in rack["nodes"]]
    assert sorted(node["id"] for node in nodes) == ["n1", "n2", "n3", "n4"]
    nic = nodes[0]["nics"][0]
    address = nic["addresses"][0]
    assert address["node"]["id"] == nodes[0]["id"]
    assert address["nic"]["mac"] == nic["mac"]
    assert (address["family"], address["kind"]) == ("V4", "RESERVATION")
    assert address["network"] == {"name": "admin", "addressCount": 4}


def test_a_node_is_found_by_each_of_its_keys(rig):
    """id, name, MAC and serial (however written) and address lead to the same node; an unknown key to null."""
    query = "query($by: NodeKey!){node(by:$by){id hardware{serial} nics{mac} addresses{address}}}"
    node = rig.ask(query, {"by": {"id": "n2"}})["node"]
    keys = (
        {"name": "n2"},
        {"serial": node["hardware"]["serial"]},
        {"serial": f" {node['hardware']['serial'].lower()}-"},
        {"mac": node["nics"][0]["mac"].upper().replace(":", "-")},
        {"address": node["addresses"][0]["address"]},
    )
    assert [rig.ask(query, {"by": by})["node"] for by in keys] == [node] * len(keys)
    assert rig.ask(query, {"by": {"name": "nobody"}})["node"] is None


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("2001:DB8:0::1", "2001:db8::1"), (" 10.0.0.1 ", "10.0.0.1"), ("no address", "no address")],
)
def test_an_address_may_be_written_in_any_of_its_forms(asked, kept):
    """Addresses are looked up the way they are kept."""
    assert canonical(asked) == kept


@pytest.mark.parametrize("by", [{}, {"id": "n1", "name": "n1"}, {"id": None}])
def test_a_node_needs_exactly_one_key(rig, by):
    """NodeKey is @oneOf."""
    assert rig.code("query($by: NodeKey!){node(by:$by){id}}", {"by": by}) == "BAD_USER_INPUT"


def test_a_serial_of_two_nodes_is_refused_not_guessed(fresh):
    """Two nodes with one serial: the error names both."""
    found = fresh.store.topology()["hardware"]
    twin = replace(found[1], serial=found[0].serial)
    with fresh.store.write() as tx:
        tx.put([twin])
    fresh.site.operations.run("approve", [twin.node], "tester")
    fresh.client.portal.call(fresh.services.reached, fresh.store.head(), 5)
    answer = fresh.post(f'{{node(by:{{serial:"{twin.serial}"}}){{id}}}}')
    assert answer["errors"][0]["extensions"]["code"] == "AMBIGUOUS"
    assert all(name in answer["errors"][0]["message"] for name in (found[0].node, twin.node))


PAGE = (
    "query($first:Int!,$after:Cursor,$order:NodeOrder){nodes(first:$first,after:$after,orderBy:$order)"
    "{totalCount pageInfo{hasNextPage hasPreviousPage endCursor} edges{cursor node{id}} nodes{id}}}"
)


@pytest.mark.parametrize(
    "order",
    [
        None,
        {"field": "ID", "direction": "DESC"},
        {"field": "MEMORY_MIB", "direction": "DESC"},
        {"field": "RACK"},
        {"field": "STATE_SINCE"},
    ],
)
def test_pages_join_to_the_whole_list_in_order(rig, order):
    """Following endCursor gives every node once, whatever the order."""
    whole = [node["id"] for node in rig.ask(PAGE, {"first": 100, "order": order})["nodes"]["nodes"]]
    seen, after = [], None
    while True:
        page = rig.ask(PAGE, {"first": 1, "after": after, "order": order})["nodes"]
        assert page["totalCount"] == 4
        assert page["pageInfo"]["hasPreviousPage"] is bool(seen)
        assert [edge["node"]["id"] for edge in page["edges"]] == [
            node["id"] for node in page["nodes"]
        ]
        assert page["edges"][-1]["cursor"] == page["pageInfo"]["endCursor"]
        seen += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == whole
    assert sorted(whole) == ["n1", "n2", "n3", "n4"]


def test_a_page_over_the_limit_is_an_error_that_names_the_limit(rig):
    """Nothing is cut in silence."""
    answer = rig.post("{nodes(first:1001){totalCount}}")
    assert answer["errors"][0]["extensions"]["code"] == "LIMIT"
    assert "1000" in answer["errors"][0]["message"]
    assert rig.code("{racks(first:0){totalCount}}") == "LIMIT"


def test_a_cursor_of_another_list_is_refused(rig):
    """A cursor carries the kind of key that it was made for."""
    cursor = rig.ask(PAGE, {"first": 1, "order": {"field": "MEMORY_MIB"}})["nodes"]["pageInfo"]
    assert rig.code(PAGE, {"first": 1, "after": cursor["endCursor"]}) == "BAD_USER_INPUT"
    assert rig.code(PAGE, {"first": 1, "after": "rubbish!"}) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, "n1 n2 n3 n4"),
        ({"id": {"eq": "n1"}}, "n1"),
        ({"name": {"in": ["n1", "n4", "x"]}}, "n1 n4"),
        ({"name": {"prefix": "n", "contains": "3"}}, "n3"),
        ({"rack": {"eq": "r1"}}, "n1 n3"),
        ({"zone": {"eq": "z2"}}, "n2 n4"),
        ({"state": ["DECLARED"]}, "n1 n2 n3 n4"),
        ({"state": ["READY", "PROBLEM"]}, ""),
        ({"state": []}, ""),
        ({"power": ["UNKNOWN"]}, "n1 n2 n3 n4"),
        ({"memoryMib": {"gte": 2048, "lte": 3072}}, "n2 n3"),
        ({"product": {"eq": "X1"}, "cpuCores": {"gte": 9}}, ""),
        ({"or": [{"name": {"eq": "n1"}}, {"rack": {"eq": "r2"}}]}, "n1 n2 n4"),
        ({"not": {"rack": {"eq": "r2"}}}, "n1 n3"),
        ({"and": [{"rack": {"eq": "r1"}}, {"not": {"name": {"eq": "n1"}}}]}, "n3"),
        ({"stateSince": {"gte": "2000-01-01T00:00:00Z"}}, "n1 n2 n3 n4"),
        ({"stateSince": {"lte": "2000-01-01T00:00:00+02:00"}}, ""),
    ],
)
def test_filters_choose_the_nodes_that_fit(rig, chosen, expected):
    """Every field given must hold; and, or and not combine."""
    query = "query($f:NodeFilter){nodes(filter:$f){totalCount nodes{id}}}"
    found = rig.ask(query, {"f": chosen})["nodes"]
    assert " ".join(node["id"] for node in found["nodes"]) == expected
    assert found["totalCount"] == len(found["nodes"])


def test_a_time_that_is_none_is_refused(rig):
    """DateTime is checked when it is read."""
    query = "query($f:NodeFilter){nodes(filter:$f){totalCount}}"
    assert rig.code(query, {"f": {"stateSince": {"gte": "yesterday"}}}) == "BAD_USER_INPUT"


def test_places_and_networks_can_be_filtered(rig):
    """zones, racks and networks take filters of their own."""
    found = rig.ask(
        '{zones(filter:{name:{eq:"z2"}}){name} racks(filter:{zone:{eq:"z1"}}){totalCount nodes{name}}'
        ' networks(filter:{purpose:{prefix:"adm"}}){name cidrV4 zone{name}}}'
    )
    assert found["zones"] == [{"name": "z2"}]
    assert found["racks"] == {"totalCount": 1, "nodes": [{"name": "r1"}]}
    assert found["networks"] == [{"name": "admin", "cidrV4": "10.1.0.0/16", "zone": {"name": "z1"}}]


def test_node_states_counts_in_the_snapshot(rig):
    """A roll-up needs no paging through nodes."""
    found = rig.ask('{nodeStates(filter:{rack:{eq:"r1"}}){state count}}')["nodeStates"]
    assert found == [{"state": "DECLARED", "count": 2}]


def test_configuration_names_the_winning_and_the_hidden_layers(rig):
    """config(path) says what holds, which layer set it and what lost."""
    found = rig.ask(
        '{node(by:{id:"n1"}){config(path:"timezone"){path value layer file hidden{layer value}}}}'
    )["node"]["config"]
    assert (found["value"], found["layer"]) == ("Europe/Paris", "rack:r1")
    assert [(one["layer"], one["value"]) for one in found["hidden"]] == [("global", "UTC")]


def test_configuration_that_no_layer_sets_is_null(rig):
    """An unknown key is no error."""
    assert rig.ask('{node(by:{id:"n1"}){config(path:"nothing"){value}}}')["node"]["config"] is None


def test_secrets_are_not_shown(rig):
    """Neither a configuration secret nor anything of a BMC's credentials is in an answer."""
    text = str(
        rig.post(
            '{node(by:{id:"n1"}){config(path:"bmc_password"){value hidden{value} sources{path}} '
            'url:config(path:"db"){value} '
            "bmc{protocol address port}}}"
        )
    )
    assert "10.9.0." in text
    assert "postgresql://u:**********@h/db" in text
    assert "hunter2" not in text
    assert "the-secret" not in text
    fields = rig.ask('{__type(name:"Bmc"){fields{name}}}')["__type"]["fields"]
    assert {field["name"] for field in fields} == {"protocol", "address", "port"}


def test_why_says_what_a_node_waits_for_and_what_to_do(rig):
    """The same words as the command line's why."""
    found = rig.ask('{node(by:{id:"n1"}){why{waitsFor whatToDo meaning since pending{name}}}}')
    told = rig.site.operations.why("n1")
    assert found["node"]["why"]["waitsFor"] == told["waits_for"]
    assert found["node"]["why"]["whatToDo"] == told["what_to_do"]
    assert found["node"]["why"]["since"].endswith("Z")


def test_the_viewer_is_the_tokens_holder(rig):
    """Viewer tells name and scopes."""
    found = rig.ask(
        "{viewer{name scopes} rateLimit{cost costLimit remaining limit}}", scopes=("topology:read",)
    )
    assert found["viewer"] == {"name": "tester", "scopes": ["topology:read"]}
    assert 1 <= found["rateLimit"]["cost"] <= 5
    assert found["rateLimit"]["remaining"] < found["rateLimit"]["limit"]
