"""The worker over TLS: as in the clear, and only with whom it trusts."""

from bed import noise, same

import eft

MIB = eft.MIB


def test_a_transfer_over_tls(bed):
    with bed.beside(start=eft.server_over_tls) as other:
        for name, size in [("small", 1000), ("large", 24 * MIB)]:
            other.put(f"tls/{name}", noise(size))
            other.transfer(f"tls/{name}", flags=["--no-server-copy", "--part-size", "5MiB"])
            same(name, other.get(f"tls/{name}"), noise(size))


def test_a_body_that_is_cut_over_tls_is_read_on(bed):
    with bed.beside(start=eft.server_over_tls) as other:
        other.put("tls/cut", noise(24 * MIB))
        with other.faults({"op": "GetObject", "kind": "cut_body", "after": MIB, "times": 3}):
            result = other.transfer("tls/cut", flags=["--no-server-copy", "--part-size", "5MiB"])
            same("what was cut", other.get("tls/cut"), noise(24 * MIB))
        assert result.receipt["totals"]["retries"] >= 3, result.receipt["totals"]


def test_nobody_is_trusted_whose_authority_is_not(bed):
    with bed.beside(start=eft.server_over_tls) as other, bed.beside(start=eft.server_over_tls) as stranger:
        other.put("tls/refused", b"x")
        # The certificate of one authority, and only the other is trusted.
        env = {**other.server.env, "SSL_CERT_FILE": stranger.server.env["SSL_CERT_FILE"]}
        line = ["s3://in-files/tls/refused", "s3://out-files/tls/refused"]
        result = other.refused("source.unavailable", *line, says=["certificate"], receipt=False, env=env)
        assert other.server.ask("/_stats")["counts"].get("HeadObject", 0) == 0, result


def test_nobody_is_trusted_who_answers_in_the_clear(bed):
    bed.put("tls/clear", b"x")
    env = {**bed.server.env, "AWS_ENDPOINT_URL": bed.server.endpoint.replace("http://", "https://")}
    line = ["s3://in-files/tls/clear", "s3://out-files/tls/clear"]
    bed.refused("source.unavailable", *line, receipt=False, env=env)
