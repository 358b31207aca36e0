"""Who may do what in etcd, and whom a client trusts: users with a role for each host, TLS, and each refusal in its own words."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from portward.errors import Unavailable, UsageError
from portward.leases import etcd_host
from portward.leases.etcd import store_at
from portward.leases.etcd_roles import KINDS, OF_HOST
from portward.model import EVERYWHERE, LeaseKind, Site
from tests.conftest import need
from tests.etcd import Cluster
from tests.test_leases_contract import HERE, NOW, ROOT, always, ask, grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

ADMIN = {"PORTWARD_ETCD_USER": "root", "PORTWARD_ETCD_PASSWORD": "the root's own"}
OTHER = Site("other-host", "", "boot-9")


class Secured:
    """A member with TLS and users, its certificates, and the address of a store there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ca", "stranger"):
            self._signed(name, None)
        self._signed("server", "ca")
        self._signed("client", "ca")
        self._expired("old", "ca")
        self._signed("forged", "stranger")
        files = [
            f"--cert-file={folder}/server.pem",
            f"--key-file={folder}/server.key",
            f"--trusted-ca-file={folder}/ca.pem",
        ]
        self.cluster = Cluster(folder, 1, [*files, "--client-cert-auth"], "https")
        self.address = f"etcds://127.0.0.1:{self.cluster.ports[0]}/fleet"
        self.users: dict[str, str] = {}

    def _signed(self, name: str, by: str | None) -> None:
        """A certificate for this machine's loopback, without a common name: etcd's gateway refuses those that have one."""
        signer = ["-CA", f"{self.folder}/{by}.pem", "-CAkey", f"{self.folder}/{by}.key"] if by else []
        extensions = ["-addext", f"basicConstraints=critical,CA:{'FALSE' if by else 'TRUE'}"]
        subprocess.run(
            [
                need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/O={name}",
                "-keyout", f"{self.folder}/{name}.key", "-out", f"{self.folder}/{name}.pem", "-addext", "subjectAltName=IP:127.0.0.1",
                *extensions, *signer, "-days", "2",
            ],
            check=True, capture_output=True,
        )  # fmt: skip

    def _expired(self, name: str, by: str) -> None:
        """A certificate that ended yesterday."""
        base, signer = f"{self.folder}/{name}", f"{self.folder}/{by}"
        (self.folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
        for words in (
            ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/O={name}",
             "-keyout", f"{base}.key", "-out", f"{base}.csr"],
            ["x509", "-req", "-in", f"{base}.csr", "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-set_serial", "7",
             "-extfile", f"{self.folder}/extensions", "-days", "-1", "-out", f"{base}.pem"],
        ):  # fmt: skip
            subprocess.run([need("openssl"), *words], check=True, capture_output=True)

    def environment(self, ca: str = "ca", certificate: str = "client", **more: str) -> dict[str, str]:
        base = f"{self.folder}/{certificate}"
        files = {"PORTWARD_ETCD_CA": f"{self.folder}/{ca}.pem", "PORTWARD_ETCD_CERT": f"{base}.pem"}
        return {**files, "PORTWARD_ETCD_KEY": f"{base}.key", **more}

    def of(self, host: str) -> dict[str, str]:
        """The environment of a host's user."""
        user = f"portward-{host}"
        return self.environment(PORTWARD_ETCD_USER=user, PORTWARD_ETCD_PASSWORD=self.users[user])

    def set_up(self, *hosts: str) -> subprocess.CompletedProcess[str]:
        paths = {"PYTHONPATH": str(ROOT[1]), "PATH": os.environ["PATH"]}
        return subprocess.run(
            [sys.executable, "-m", "portward.leases.etcd_roles", self.address, *hosts],
            env={**paths, **self.environment(**ADMIN)}, capture_output=True, text=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = Secured(tmp_path_factory.mktemp("tls"))
    try:
        made.cluster.wait(made.environment())
        done = made.set_up(HERE.host, OTHER.host)
        assert done.returncode == 0, done.stderr
        made.users = dict(map(str.split, done.stdout.splitlines()))
        yield made
    finally:
        made.cluster.stop()


def test_a_host_changes_its_own_leases_alone(secured: Secured) -> None:
    """It claims, renews, gives back and reclaims its own; it reads all, and is refused whatever it would change of another's."""
    with closing(store_at(secured.address, secured.of(HERE.host))) as mine:
        with closing(store_at(secured.address, secured.of(OTHER.host))) as theirs:
            (web,) = grant(mine, ask("web", kind=LeaseKind.TTL, ttl=60))
            (api,) = grant(theirs, ask("api", site=OTHER))
            assert set(mine.leases()) == set(theirs.leases()) == {web, api}
            (renewed,) = mine.renew([web], 90, NOW)
            acts: list[Callable[[], object]] = [
                lambda: mine.release([api]),
                lambda: grant(mine, ask("new", site=OTHER)),
                lambda: mine.reclaim(OTHER, lambda _lease: "gone", always, NOW),
                lambda: mine.gateway.put(mine.keys.version, b"{}"),
                *(partial(mine.gateway.put, mine.keys.all_of(kind, OTHER.host) + "x", b"{}") for kind in KINDS),
                *(partial(mine.gateway.put, mine.keys.of_host(kind, OTHER.host), b"{}") for kind in OF_HOST),
                etcd_host.Presence(mine, OTHER, 60).begin,
            ]
            for act in acts:
                with pytest.raises(Unavailable, match="does not permit this to user portward-this-host") as refused:
                    act()
                assert refused.value.hint
            assert set(theirs.leases()) == {renewed, api}
            assert [check.name for check in mine.check(NOW) if not check.ok] == []
            agent = etcd_host.Presence(mine, HERE, 60)
            agent.begin()
            assert agent.publish("[]", {"name": "me", "boot": HERE.boot, "seen": NOW, "listeners": 0})
            assert [report.name for report in etcd_host.reports(theirs)] == ["me"]
            agent.end({})
            (wide,) = grant(mine, ask("lb", [20009], hosts=EVERYWHERE))
            with pytest.raises(Unavailable, match="does not permit this"):
                theirs.release([wide])
            (db,) = grant(theirs, ask("db", [20009, 20008], site=OTHER))
            assert db.port == 20008
            assert mine.release([wide]) == (wide,)
            assert mine.release([renewed]) == (renewed,)
            assert theirs.release([api, db]) == (api, db)


def test_more_hosts_are_added_and_passwords_stay(secured: Secured) -> None:
    """The script may be run again."""
    done = secured.set_up(HERE.host, "third-host")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["portward-third-host"]
    with closing(store_at(secured.address, secured.of(HERE.host))) as mine:
        assert mine.leases() == ()


def test_a_token_that_ended_is_renewed(secured: Secured) -> None:
    """Tokens last for minutes, and not beyond a change of users: a store that is open for long asks for another."""
    with closing(store_at(secured.address, secured.of(HERE.host))) as mine:
        assert mine.leases() == ()
        mine.gateway._token = "nobody.1"
        assert mine.leases() == ()


REFUSALS: list[tuple[dict[str, str], Mapping[str, str], str]] = [
    ({"ca": "stranger"}, {}, "is signed by nobody whom we trust"),
    ({"certificate": "forged"}, {}, "refuses our client certificate"),
    ({"certificate": "old"}, {}, "refuses our client certificate"),
    ({"certificate": "missing"}, {}, "cannot use the certificates"),
    ({}, {"PORTWARD_ETCD_PASSWORD": "wrong"}, "refuses the password of portward-this-host"),
    ({}, {"PORTWARD_ETCD_USER": "nobody"}, "refuses the password of nobody"),
    ({}, {"PORTWARD_ETCD_USER": "", "PORTWARD_ETCD_PASSWORD": ""}, "wants to know who asks"),
]


@pytest.mark.parametrize(("files", "user", "told"), REFUSALS, ids=[f"{each[0]}{each[1]}" for each in REFUSALS])
def test_each_refusal_has_its_own_words(
    secured: Secured, files: dict[str, str], user: Mapping[str, str], told: str
) -> None:
    """With a hint, and without waiting; no password is told."""
    environment = {**secured.of(HERE.host), **secured.environment(**files), **user}
    with closing(store_at(secured.address, environment)) as store:
        with pytest.raises(Unavailable, match=told) as refused:
            store.leases()
    assert refused.value.hint
    assert refused.value.exit_code == 3
    assert "wrong" not in refused.value.message


def test_a_certificate_that_has_expired_is_told(tmp_path: Path) -> None:
    """The server's own: neither trusted nor called a stranger's."""
    secured = Secured(tmp_path)
    secured.cluster.stop()
    files = [f"--cert-file={tmp_path}/old.pem", f"--key-file={tmp_path}/old.key"]
    (tmp_path / "second").mkdir()
    cluster = Cluster(tmp_path / "second", 1, files, "https")
    try:
        cluster.wait(secured.environment(), verified=False)
        with closing(store_at(f"etcds://{cluster.endpoints}/p", secured.environment())) as store:
            with pytest.raises(Unavailable, match="has expired") as refused:
                store.leases()
        assert refused.value.hint
    finally:
        cluster.stop()


@pytest.mark.parametrize("half", ["PORTWARD_ETCD_USER", "PORTWARD_ETCD_PASSWORD", "PORTWARD_ETCD_PASSWORD_FILE"])
def test_a_user_and_a_password_go_together(half: str, tmp_path: Path) -> None:
    """One without the other, or a file that is not there, is bad usage; a file's password is read."""
    with pytest.raises(UsageError):
        store_at("etcd://127.0.0.1:1/p", {half: str(tmp_path / "none")})
    (tmp_path / "secret").write_text("x\n")
    store_at(
        "etcd://127.0.0.1:1/p", {"PORTWARD_ETCD_USER": "u", "PORTWARD_ETCD_PASSWORD_FILE": str(tmp_path / "secret")}
    )
