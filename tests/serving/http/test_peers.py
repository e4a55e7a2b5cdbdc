"""Who a caller is, and by which names a service without a token may be called."""

import pytest

from eacl_jax.serving.http.peers import Hosts, is_loopback, peer_of


@pytest.mark.parametrize(
    "header", ["localhost", "LocalHost:80", "localhost.", "localhost.:8000", "app.localhost", "127.0.0.1:8000", "127.9.9.9",
               "[::1]", "[::1]:80", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"]
)  # fmt: skip
def test_loopback_is_always_this_service(header):
    assert all(header in Hosts(host) for host in ("127.0.0.1", "::", "192.0.2.1", "talk.example"))


@pytest.mark.parametrize(
    "header", ["", "evil.example", "localhost.evil.example", "notlocalhost", "localhost@evil.example", "a@localhost", "127.1",
               "2130706433", "0x7f.0.0.1", "localhost:80:80", "localhost:80@evil.example", "localhost/", "localhost ",
               "[::1", "::1", "[localhost]", "127.0.0.1.evil.example", "\xff", "lo\ncalhost", "0.0.0.0", "192.0.2.2",
               "[2001:db8::2]", "mine"]
)  # fmt: skip
def test_others_are_not(header):
    assert not [
        host
        for host in ("127.0.0.1", "localhost", "::1", "192.0.2.1", "talk.example")
        if header in Hosts(host)
    ]


def test_what_it_listens_at_is():
    assert "Talk.Example.:80" in Hosts("talk.example")
    assert "192.0.2.1:80" in Hosts("192.0.2.1")
    assert "[2001:db8:0::1]:80" in Hosts("2001:db8::1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_at_all_addresses_it_is_every_address_and_name_of_the_network_but_no_sites(host):
    found = {
        name
        for name in ("192.0.2.1:80", "[2001:db8::1]", "0.0.0.0", "mine:80", "evil.example", "a.b")
        if name in Hosts(host)
    }
    assert found == {"192.0.2.1:80", "[2001:db8::1]", "0.0.0.0", "mine:80"}


def test_callers_of_one_network_are_one_peer():
    assert (
        peer_of(("192.0.2.1", 1))
        == peer_of(("192.0.2.1", 2))
        == peer_of(("::ffff:192.0.2.1", 3, 0, 0))
        != peer_of(("192.0.2.2", 1))
    )
    assert (
        peer_of(("2001:db8::1", 1, 0, 0))
        == peer_of(("2001:db8::ffff:2%eth0", 1))
        != peer_of(("2001:db8:0:1::1", 1))
    )
    assert peer_of(None) == ""


def test_loopback_hosts():
    assert [
        host
        for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "talk.example", "")
        if is_loopback(host)
    ] == [
        "127.0.0.1",
        "::1",
        "localhost",
    ]
