"""Addresses of machines: read, written again, refused."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.remote import Address, parse_address
from harness.remote.address import labels

WORD = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=12)
HOSTS = st.one_of(
    st.lists(WORD, min_size=1, max_size=4).map(".".join),
    st.ip_addresses().map(str),
)
USERS = st.none() | st.builds(
    "".join, st.tuples(WORD, st.text(string.ascii_letters + "-_.+@", max_size=8))
)
FOLDERS = st.none() | st.lists(WORD, min_size=1, max_size=3).map(lambda p: "/" + "/".join(p))


@given(HOSTS, USERS, st.none() | st.integers(1, 65535), FOLDERS)
def test_an_address_is_read_as_it_was_written(
    host: str, user: str | None, port: int | None, folder: str | None
) -> None:
    address = Address(host, user, port, folder)
    assert parse_address(str(address)) == address


@given(st.text())
def test_anything_else_is_refused_by_name(text: str) -> None:
    for whole in (text, f"ssh://{text}"):
        try:
            address = parse_address(whole)
        except InputError as error:
            assert error.message
            assert error.next_step
        else:
            words = address.arguments()
            assert words[-2:] == ["--", address.host]
            assert not address.host.startswith("-")
            assert not (address.user or "").startswith("-")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu1", "no address of a machine"),
        ("http://gpu1", "no address of a machine"),
        ("ssh://", "no name of a host"),
        ("ssh://-oProxyCommand=x", "no name of a host"),
        ("ssh://-l@host", "no name of a user"),
        ("ssh://me@host:99999", "Port out of range"),
        ("ssh://me@host:0", "ports begin with 1"),
        ("ssh://me@host:ssh", "Port could not be cast"),
        ("ssh://me@ho st", "no name of a host"),
        ("ssh://host?x", "no ? and no #"),
        ("ssh://host/a/../../etc", "is not a plain path"),
        ("ssh://[::1", "Invalid IPv6 URL"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("?", r"\?").replace("[", r"\[")):
        parse_address(text)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        parse_address("ssh://me:secret@host")
    assert "secret" not in caught.value.message + caught.value.next_step
    assert "ssh-copy-id" in caught.value.next_step


def test_a_host_keeps_its_letters_for_ssh_config_knows_the_difference() -> None:
    assert parse_address("ssh://Lab-GPU").arguments() == ["--", "Lab-GPU"]
    assert parse_address("ssh://me@[fe80::1]:22/data").arguments() == [
        *("-l", "me", "-p", "22", "--", "fe80::1")
    ]


def test_labels_tell_machines_apart() -> None:
    texts = ("ssh://a", "ssh://me@b:1", "ssh://me@b:2")
    assert labels([parse_address(text) for text in texts]) == ["a", "me@b:1", "me@b:2"]
