"""Rows of earlier versions' files in today's form, so that what was measured then still counts.

They knew encoders and decoders alone. A row of another form comes back as it is: reading it names what is wrong.
"""

from typing import Any

from latency_predictor.on_device.timing import clock_name


def sample_row(row: Any) -> Any:
    """The row of a LatencySample."""
    protocol = row.get("protocol") if isinstance(row, dict) else None
    if not isinstance(protocol, dict):
        return row
    row = row | {"protocol": _with_workload(_with_lengths(_with_clock(protocol)))}
    if "source_lengths" in protocol and isinstance(row.get("lengths"), list):
        row["lengths"] = [_timing_with_phases(at) for at in row["lengths"]]
    return row


def _with_clock(protocol: dict[str, Any]) -> dict[str, Any]:
    """By which clock a protocol timed followed from the device."""
    if not protocol.keys() >= {"threads", "accelerator"}:
        return protocol
    return {"clock": clock_name(protocol["threads"], protocol["accelerator"])} | protocol


def _with_lengths(protocol: dict[str, Any]) -> dict[str, Any]:
    """Without a decoder there were 0 steps."""
    if not protocol.keys() >= {"source_lengths", "target_steps"}:
        return protocol
    others = dict(protocol)
    lengths = {"encode": others.pop("source_lengths"), "decode": others.pop("target_steps")}
    if isinstance(lengths["decode"], list) and not any(lengths["decode"]):
        del lengths["decode"]
    return others | {"lengths": lengths}


def _with_workload(protocol: dict[str, Any]) -> dict[str, Any]:
    """A classifier's labels were the target's vocabulary, its beam was 1."""
    known = {"beam", "source_vocabulary", "target_vocabulary", "lengths"}
    if not protocol.keys() >= known or not isinstance(protocol["lengths"], dict):
        return protocol
    others = dict(protocol)
    workload = {name: others.pop(name) for name in ("beam", "source_vocabulary", "target_vocabulary")}
    if "decode" not in others["lengths"]:
        workload = {"vocabulary": workload["source_vocabulary"], "labels": workload["target_vocabulary"]}
    return others | {"workload": workload}


def _timing_with_phases(at: Any) -> Any:
    if not isinstance(at, dict):
        return at
    lengths, times = {"encode": at.get("source_length")}, {"encode": at.get("encoder_ms")}
    if at.get("target_steps"):
        lengths["decode"], times["decode"] = at["target_steps"], at.get("decoder_ms")
    return {"lengths": lengths, "phases_ms": times, "total_ms": at.get("total_ms")}


def parts_row(row: Any) -> Any:
    """The row of Parts."""
    if not isinstance(row, dict) or not row.keys() >= {"encoder_ms", "decoder_ms", "target_steps"}:
        return row
    others = dict(row)
    phases_ms = {"encode": others.pop("encoder_ms"), "decode": others.pop("decoder_ms")}
    return others | {"phases_ms": phases_ms, "lengths": others.pop("target_steps")}
