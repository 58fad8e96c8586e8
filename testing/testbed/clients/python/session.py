"""Plays a session of the Python client etcd3 against a cluster and prints what it saw, one line a step.

    session.py ENDPOINT,ENDPOINT,... < LINES

What differs between two runs by nature is not printed. A line "? words" asks the caller for something and is followed
by the wait for a line on standard input. The client knows one endpoint only: the first.
"""

import faulthandler
import sys

import etcd3
import grpc

PATIENCE = 10
# For the whole session: one that hangs is a failure, and says where.
LIMIT = 90


def said(doing, act):
    """Prints an outcome that both servers must word alike."""
    try:
        print(f"{doing}: {act()}")
    except grpc.RpcError as error:
        print(f"{doing}: {error.code().name}: {error.details()}")
    except Exception as error:
        print(f"{doing}: {type(error).__name__} {error}")


def ask(what):
    print(f"? {what}", flush=True)
    if not sys.stdin.readline():
        sys.exit("FAILED: nobody answers")


def keys(client):
    print("put at", client.put("k/a", "1").header.revision)
    before = client.put("k/a", "2", prev_kv=True).prev_kv
    print("before:", before.key, before.value, before.version)
    client.put("k/b", "1")
    value, about = client.get("k/a")
    print("get:", value, about.key, about.version, about.mod_revision - about.create_revision)
    print("nothing:", client.get("k/none"))
    for order in ("ascend", "descend"):
        got = client.get_prefix("k/", sort_order=order, sort_target="key")
        print(order, [(about.key, value) for value, about in got])
    print("range:", [value for value, _ in client.get_range("k/a", "k/b")])
    print("serializable:", client.get("k/a", serializable=True)[0])
    print("if it is not there:", client.put_if_not_exists("k/a", "x"), client.put_if_not_exists("k/c", "x"))
    print("replace:", client.replace("k/a", "1", "3"), client.replace("k/a", "2", "3"))
    print("delete:", client.delete("k/a"), client.delete("k/a"), client.delete_prefix("k/").deleted)
    said("put without a key", lambda: client.put("", "x"))
    revision = client.put("k/a", "1").header.revision
    client.compact(revision)
    said("compact again", lambda: client.compact(revision))


def transactions(client):
    t = client.transactions
    for _ in range(2):
        done, answers = client.transaction(
            compare=[t.version("t/a") == 0, t.create("t/a") == 0],
            success=[t.put("t/a", "made"), t.get("t/a")],
            failure=[t.get("t/a"), t.delete("t/a")],
        )
        gets = [[value for value, _ in answer] for answer in answers if isinstance(answer, list)]
        print("transaction:", done, gets, client.get("t/a")[0])
    said("put twice", lambda: client.transaction([], [t.put("t/x", "1"), t.put("t/x", "2")], []))


def leases(client):
    lease = client.lease(60)
    client.put("l/a", "x", lease=lease)
    print("granted:", lease.granted_ttl, "keys:", list(lease.keys))
    print("refreshed:", [answer.TTL for answer in lease.refresh()])
    lease.revoke()
    print("revoked:", client.get("l/a"), lease.remaining_ttl)
    short = client.lease(2)
    events, cancel = client.watch("l/short")
    client.put("l/short", "x", lease=short)
    for event in (next(events), next(events)):
        print("lease:", type(event).__name__, event.key)
    cancel()


def watching(client):
    first = client.put("w/a", "1").header.revision
    client.put("w/b", "2")
    client.delete("w/a")
    events, cancel = client.watch_prefix("w/", start_revision=first, prev_kv=True)
    for _ in range(3):
        event = next(events)
        print("watch:", type(event).__name__, event.key, event.value, "before", event.prev_value)
    cancel()
    said("watch the compacted past", lambda: next(client.watch("k/a", start_revision=1)[0]))


def locks(client):
    one, two = client.lock("door", ttl=30), client.lock("door", ttl=30)
    print("acquire:", one.acquire(timeout=PATIENCE), one.is_acquired(), two.is_acquired())
    # Waiting for it is left out: this client may look away at the moment of the release, and then waits for ever.
    print("not acquired by the other:", two.acquire(timeout=0))
    print("release:", one.release())
    print("acquired by the other:", two.acquire(timeout=PATIENCE), one.is_acquired(), two.is_acquired())
    print("refresh:", [answer.TTL for answer in two.refresh()])
    print("release:", one.release(), two.release())


def leader_lost(client):
    events, cancel = client.watch("f/n")
    client.put("f/n", "1")
    print("watch:", next(events).value)
    ask("kill the leader")
    persist(client, "f/n", "2")
    print("read:", client.get("f/n")[0], "watch:", next(events).value)
    cancel()
    ask("start it again")


def persist(client, key, value):
    """Puts until it is acknowledged."""
    while True:
        try:
            if client.get(key)[0] != value.encode():
                client.put(key, value)
            return
        except (etcd3.exceptions.Etcd3Exception, grpc.RpcError):
            continue


def main():
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    host, port = sys.argv[1].split(",")[0].rsplit(":", 1)
    client = etcd3.client(host=host, port=int(port), timeout=PATIENCE)
    for part in (keys, transactions, leases, watching, locks, leader_lost):
        print("==", part.__name__.replace("_", " "))
        part(client)
    client.close()


main()
