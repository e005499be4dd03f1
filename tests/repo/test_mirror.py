"""tests/unit mirrors racksalt/: who looks for the test of a module knows where it is."""

from __future__ import annotations

from pathlib import Path

from tests.support import source

# Module -> where it is tested instead, or why there is nothing to test.
ELSEWHERE: dict[str, str] = {
    "racksalt/adapters/lab_link.py": "tests/unit/adapters/test_simulated.py",
    "racksalt/images/build.py": "tests/integration/test_images.py",
    "racksalt/images/packages.py": "tests/integration/test_images.py",
    "racksalt/images/system.py": "tests/integration/test_images.py",
    "racksalt/lab/firmware.py": "tests/unit/lab/test_machine.py",
    "racksalt/lab/fleet.py": "tests/integration/test_fleet.py",
    "racksalt/lab/host.py": "tests/integration/test_lab.py",
    "racksalt/lab/installation.py": "tests/integration/test_lab.py",
    "racksalt/lab/light.py": "tests/unit/lab/test_machine.py",
    "racksalt/lab/link.py": "tests/unit/adapters/test_simulated.py",
    "racksalt/lab/minion_agent.py": "tests/integration/test_lab.py",
    "racksalt/lab/minions.py": "tests/integration/test_lab.py",
    "racksalt/lab/nursery.py": "tests/integration/test_lab.py",
    "racksalt/lab/qemu/host.py": "tests/integration/test_qemu_lab.py",
    "racksalt/lab/qemu/rack.py": "tests/integration/test_qemu_lab.py",
    "racksalt/lab/redfish.py": "tests/integration/test_redfish.py",
    "racksalt/lab/redfish_resources.py": "tests/integration/test_redfish.py",
    "racksalt/lab/rack.py": "tests/integration/test_crash.py",
    "racksalt/lab/reports.py": "tests/unit/lab/test_machine.py",
    "racksalt/lab/tether.py": "tests/unit/lab/test_processes.py",
    "racksalt/share.py": "tests/repo/test_salt_tree.py",
    "racksalt/saltext.py": "tests/repo/test_salt_tree.py",
    "racksalt/model/event.py": "fields only: no code that could be wrong",
    "racksalt/model/hardware.py": "fields only: no code that could be wrong",
    "racksalt/model/node.py": "fields only: no code that could be wrong",
    "racksalt/model/request.py": "fields only: no code that could be wrong",
    "racksalt/adapters/salt_switch.py": "tests/integration/test_salt_jobs.py",
    "racksalt/adapters/switch_drivers.py": "tests/integration/test_switch.py",
    "racksalt/cli_switch.py": "tests/integration/test_switch.py",
    "racksalt/model/switch.py": "fields only: no code that could be wrong",
    "racksalt/model/place.py": "tests/unit/site/test_network_checks.py",
    "racksalt/conductor/desired.py": "tests/functional/runners/test_racksalt_runner.py",
    "racksalt/adapters/salt_client.py": "tests/integration/test_salt_jobs.py",
    "racksalt/adapters/salt_runner.py": "tests/functional/runners/test_racksalt_runner.py",
    "racksalt/store/addresses.py": "tests/unit/conductor/test_addresses.py",
    "racksalt/site/conduit_checks.py": "tests/unit/site/test_network_checks.py",
    "racksalt/site/range_checks.py": "tests/unit/site/test_network_checks.py",
    "racksalt/adapters/dhcp_links.py": "tests/integration/test_dhcp.py",
    "racksalt/adapters/dnsmasq.py": "tests/integration/test_dhcp.py",
    "racksalt/adapters/dnsmasq_log.py": "tests/integration/test_dhcp.py",
    "racksalt/adapters/kea.py": "tests/integration/test_dhcp_kea.py",
    "racksalt/adapters/kea_control.py": "tests/integration/test_dhcp_kea.py",
    "racksalt/adapters/kea_hosts.py": "tests/integration/test_dhcp_kea.py",
    "racksalt/cli_dhcp.py": "tests/integration/test_dhcp.py",
    "racksalt/model/reservation.py": "fields only: no code that could be wrong",
    "racksalt/model/certificate.py": "fields only: no code that could be wrong",
    "racksalt/store/certificates.py": "tests/unit/conductor/test_certificates.py",
    "racksalt/conductor/ports.py": "protocols and records: no code that could be wrong",
}


def _test_of(module: Path) -> Path:
    inner = module.relative_to("racksalt")
    return Path("tests/unit") / inner.parent / f"test_{module.name}"


def _modules() -> list[Path]:
    return [
        path
        for path in source.under("racksalt", suffix=".py")
        if not path.name.startswith("__") and "migrations" not in path.parts
    ]


def test_every_module_has_its_test_file():
    """``racksalt/a/b.py`` is tested by ``tests/unit/a/test_b.py``, or the list says where."""
    there = set(source.files())
    missing = [
        f"{module} -> {_test_of(module)}"
        for module in _modules()
        if _test_of(module) not in there and str(module) not in ELSEWHERE
    ]
    assert not missing, "\n".join(missing)


def test_every_unit_test_file_has_its_module():
    """A unit test whose module moved moves along (``test_b_<aspect>.py`` belongs to ``b.py``)."""
    expected = {str(_test_of(module).with_suffix("")) for module in _modules()}
    orphans = [
        str(path)
        for path in source.under("tests/unit", suffix=".py")
        if path.name.startswith("test_")
        and not any(
            str(path.with_suffix("")) == name or str(path).startswith(f"{name}_")
            for name in expected
        )
    ]
    assert not orphans, "\n".join(orphans)


def test_the_list_of_exceptions_is_true():
    """What the list names exists, and the tests that it points to too."""
    for module, place in ELSEWHERE.items():
        assert Path(module) in source.files(), f"{module} is gone; remove its line"
        assert _test_of(Path(module)) not in source.files(), f"{module} has its own test now"
        if place.startswith("tests/"):
            assert (source.ROOT / place).exists(), place


def test_every_test_folder_is_a_package():
    """Without ``__init__.py`` a folder such as tests/functional/salt would be imported as ``salt``."""
    folders = {path.parent for path in source.under("tests", suffix=".py")}
    assert not [
        str(folder) for folder in folders if not (source.ROOT / folder / "__init__.py").exists()
    ]


def test_every_test_states_its_rule():
    """Each test has a docstring, whose first line says what holds."""
    silent = [
        f"{path}:{function.lineno} {function.name}"
        for path in source.under("tests", suffix=".py")
        for function in source.functions(path)
        if function.name.startswith("test_") and not source.ast.get_docstring(function)
    ]
    assert not silent, "\n".join(silent)
